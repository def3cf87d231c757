"""`waymark report`: two states of the repository in, report.md and report.html out."""

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from waymark import git, paths
from waymark.errors import WaymarkError
from waymark.files import replacing
from waymark.judging import latency
from waymark.judging.latency import Latency
from waymark.predictor import Predictor
from waymark.reporting import markdown, notes, page
from waymark.reporting.composing import compose
from waymark.reporting.findings import Findings, examine
from waymark.reporting.pictures import thumbnails
from waymark.reporting.revisions import Revision
from waymark.reporting.snapshot import Snapshot, outputs
from waymark.reporting.storage import Storage
from waymark.reporting.taking import take

logger = logging.getLogger(__name__)

DATA = (paths.RAW, paths.MANIFEST)  # read only where they differ


@dataclass(frozen=True)
class Written:
    verdict: str  # in one line
    markdown: Path
    page: Path


def run(root: Path, base: str, head: str | None, output: Path) -> Written:
    """Compare `head`, by default the workspace, with `base`, and write both pages into `output`."""
    storage = Storage(root)
    old, new = Revision(root, storage, base), Revision(root, storage, head)
    with_data = any(len({outputs(each.stages).get(path.as_posix()) for each in (old, new)}) > 1 for path in DATA)
    before, after = take(old, with_data=with_data), take(new, with_data=with_data)
    assert old.commit is not None
    findings = examine(
        before,
        after,
        git.changed_files(root, old.commit, new.commit),
        _latency(old, new, before, after),
        git.missing_commits(root, git.start(root, old.commit), new.commit or "HEAD"),
    )
    pictures = _pictures(new, findings)
    document = compose(findings, [*notes.of(new), *notes.of(old), *notes.instead(old, new)])
    written = Written(markdown.verdict(document), output / "report.md", output / "report.html")
    with replacing() as part:
        part(written.markdown).write_text(markdown.render(document), encoding="utf-8")
        part(written.page).write_text(page.render(document, pictures), encoding="utf-8")
    return written


def _latency(old: Revision, new: Revision, before: Snapshot, after: Snapshot) -> tuple[Latency, Latency] | None:
    """None where one ONNX file cannot be had or run, or where both are the same."""
    if before.contract is None or after.contract is None or before.contract.onnx_sha256 == after.contract.onnx_sha256:
        return None
    predictors = []
    with TemporaryDirectory() as folder:
        for revision, contract in ((old, before.contract), (new, after.contract)):
            if (content := revision.read(paths.ONNX)) is None:
                return None
            file = Path(folder) / paths.ONNX.name
            file.write_bytes(content)
            try:
                predictors.append(Predictor(file, contract, int(after.params.get("threads", 1)), spinning=False))
            except WaymarkError as error:
                logger.warning("latency: %s: %s", revision.name, error)
                return None
    first, second = latency.measure(predictors)
    return first, second


def _pictures(new: Revision, findings: Findings) -> dict[int, str]:
    """Those that the page shows, of the head's test."""
    if findings.judgement is None or findings.new.predictions is None:
        return {}
    paired = findings.judgement.paired
    wanted = {
        int(row) for moved in (paired.newly_right, paired.newly_wrong) for row in moved["new_row"].head(page.SHOWN)
    }
    file = new.open(paths.images("test")) if wanted else None
    if file is None:
        return {}
    with file:
        return thumbnails(file, wanted, len(findings.new.predictions))
