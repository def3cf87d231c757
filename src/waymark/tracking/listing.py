"""`waymark runs`: what git and DVC know of results beside what MLflow does."""

import csv
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from waymark.tracking import address, identity, revisions, runs
from waymark.tracking.address import TrackingError
from waymark.tracking.registry import MODEL_VERSION, Registry
from waymark.tracking.revisions import Revision
from waymark.wording import aligned

if TYPE_CHECKING:
    from mlflow.entities import Run

Format = Literal["table", "json", "csv"]

_SHOWN = 20  # runs without a revision that a table shows
_TRAINED = "trained"
_NOT_RUN = "not run here"
_WIDTH = 40  # characters of a name, and of what is changed, in a table
_METRICS = ("accuracy", "expected_calibration_error", "coverage")
_HEADINGS = ("", "commit", "run", "accuracy", "ECE", "coverage", "", "unlike HEAD")
_NONE = "–"
_UNLED = "Runs that no commit above and no experiment here leads to"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    kind: str  # workspace, commit, experiment; run where git has nothing of it
    experiment: str  # DVC's name of it
    commit: str
    subject: str  # of the commit
    run: str  # MLflow's id
    run_name: str
    # Of the run: finished, running, failed, killed; or trained, where `track` did not complete it. Of a workspace
    # whose metrics came with the commit, without a model: not run here.
    status: str
    dataset: str
    accuracy: float | None
    expected_calibration_error: float | None
    coverage: float | None
    champion: bool
    changed: dict[str, Any]  # parameters that HEAD's dvc.lock has otherwise or not at all


@dataclass(frozen=True)
class Known:
    """What MLflow has of some data sets; nothing where it is away."""

    runs: "Sequence[Run]"
    champions: frozenset[str]  # model versions
    away: bool = False

    def of(self, revision: Revision) -> "Run | None":
        """The run with the same dvc.lock, else with the same outcome; the latest of several."""
        for tag, value in zip(("dvc_lock_sha256", "outcome_sha256"), revision.hashes, strict=True):
            for run in self.runs:
                if value and run.data.tags.get(f"waymark.{tag}") == value:
                    return run
        return None


def show(root: Path, dataset: str, kind: Format, commits: int) -> str:
    """Raises WaymarkError outside a git repository; an MLflow that is away is told of by a warning."""
    there = revisions.known(root, commits)
    known = _ask({dataset, *(revision.dataset for revision in there)})
    found = [(revision, known.of(revision)) for revision in there]
    here = {run.info.run_id for _, run in found if run}
    head = revisions.parameters_of_head(root)
    rows = [_of_revision(revision, run, known, head) for revision, run in found]
    if identity.outcome_of_files(root) == "":
        rows = [replace(row, status=_NOT_RUN) if row.kind == "workspace" else row for row in rows]
    rows += [_of_run(run, known, head) for run in known.runs if run.info.run_id not in here]
    if kind == "table":
        return "\n".join(_table(rows, known.away))
    return _json(rows) if kind == "json" else _csv(rows)


def _ask(datasets: Iterable[str]) -> Known:
    try:
        client = address.connect()
        champions = [Registry(client, dataset).champion() for dataset in datasets]
        found = [run for dataset in sorted(datasets) for run in runs.known(client, dataset) if not runs.is_sweep(run)]
    except TrackingError as error:
        log.warning("warning: %s; its runs are not listed", error)
        return Known([], frozenset(), away=True)
    return Known(found, frozenset(version.model_version for version in champions if version))


def _of_revision(revision: Revision, run: "Run | None", known: Known, head: Mapping[str, Any]) -> Row:
    return Row(
        kind=revision.kind,
        experiment=revision.name if revision.kind == "experiment" else "",
        commit=revision.commit,
        subject=revision.name if revision.kind == "commit" else "",
        **_told(run, known),
        dataset=revision.dataset,
        **_figures(revision.metrics, ""),
        changed=_changed(revision.parameters, head),
    )


def _of_run(run: "Run", known: Known, head: Mapping[str, Any]) -> Row:
    tags, metrics = run.data.tags, run.data.metrics
    return Row(
        kind="run",
        experiment=tags.get("waymark.dvc_experiment", ""),
        commit=tags.get("waymark.git_commit", ""),
        subject="",
        **_told(run, known),
        dataset=tags.get("waymark.dataset", ""),
        **_figures(metrics, "test/"),
        # MLflow has them as text, and of a source the file's name alone.
        changed=_changed(
            {key: value for key, value in run.data.params.items() if key != "source"},
            {key: str(value) for key, value in head.items()},
        ),
    )


def _changed(own: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sorted(own.items()) if key not in head or head[key] != value} if head else {}


def _told(run: "Run | None", known: Known) -> dict[str, Any]:
    if run is None:
        return {"run": "", "run_name": "", "status": "", "champion": False}
    status = run.info.status.lower()
    return {
        "run": run.info.run_id,
        "run_name": run.info.run_name,
        "status": _TRAINED if status == "finished" and not runs.complete(run) else status,
        "champion": run.data.tags.get(MODEL_VERSION) in known.champions,
    }


def _figures(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name: metrics.get(f"{prefix}{name}") for name in _METRICS}


def _json(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) | {"changed": _settings(row)} for row in rows)
    return text.getvalue().rstrip("\n")


def _table(rows: Sequence[Row], away: bool) -> Iterator[str]:
    """Lines; what git knows first, then the runs that nothing there leads to, by what came of them."""
    alone = [row for row in rows if row.kind == "run"]
    running = [row for row in alone if row.status in ("running", "scheduled")]
    failed = [row for row in alone if row.status in ("failed", "killed")]
    unled = [row for row in alone if row not in running and row not in failed]
    parts = {
        "": [row for row in rows if row.kind != "run"],
        "Running": running,
        "Failed or killed": failed,
        _UNLED: unled,
    }
    cells = {heading: [_cells(row) for row in found[: _SHOWN if heading else None]] for heading, found in parts.items()}
    lines = aligned([_HEADINGS, *chain(*cells.values())])
    yield next(lines)
    for heading, shown in cells.items():
        if heading and shown:
            yield f"{heading}:"
        yield from islice(lines, len(shown))
        if len(shown) < len(parts[heading]):
            yield f"and {len(parts[heading]) - len(shown)} more, which --format csv lists"
    if not away and any(not row.run for row in rows):
        yield f"{_NONE} in the column run: no run in this MLflow"
    if any(row.status == _TRAINED for row in alone):
        yield f"{_TRAINED}: nothing has judged it yet, or DVC knew the outcome; {address.RECORD} completes it"


def _cells(row: Row) -> tuple[str, ...]:
    name = row.experiment or row.subject or (row.run_name if row.kind == "run" else row.kind)
    said = {"finished": "", "": ""}.get(row.status, row.status)
    figures = (row.accuracy, row.expected_calibration_error, row.coverage)
    return (
        _printable(name),
        row.commit[:7],
        row.run[:8] or _NONE,
        *(_NONE if figure is None else f"{figure:.4f}" for figure in figures),
        " ".join(filter(None, ["champion" if row.champion else "", said])),
        _printable(_settings(row)),
    )


def _settings(row: Row) -> str:
    """As `dvc exp run -S` takes them."""
    return " ".join(
        f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in row.changed.items()
    )


def _printable(name: str) -> str:
    """A commit's message comes from anybody; a terminal must not obey it."""
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return plain if len(plain) <= _WIDTH else f"{plain[: _WIDTH - 1]}…"
