"""`waymark report` on real revisions: git's commits, DVC's cache and remote, the workspace."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.reporting import run

pytestmark = pytest.mark.slow

SIDE = 8
CLASSES = ("red", "green", "blue")
IMAGES = 90
# Every stage copies its outputs from source/, where a test puts them.
GRAPH = """
stages:
  validate:
    cmd: mkdir -p data && cp source/manifest.parquet data
    params: [dataset]
    deps: [source/manifest.parquet]
    outs: [data/manifest.parquet]
  prepare:
    cmd: mkdir -p data/prepared && cp source/test.npy data/prepared
    deps: [data/manifest.parquet, source/test.npy]
    outs: [data/prepared/test.npy]
  export:
    cmd: mkdir -p models reports && cp source/contract.json source/model.onnx models && cp source/export.json reports
    params: [lr]
    deps: [source/contract.json, source/model.onnx, source/export.json]
    outs: [models/contract.json, models/model.onnx]
    metrics:
      - reports/export.json:
          cache: false
  evaluate:
    cmd: cp source/predictions.parquet source/metrics.json reports
    deps: [data/prepared/test.npy, models/contract.json, models/model.onnx, source/predictions.parquet]
    outs: [reports/predictions.parquet]
    metrics:
      - reports/metrics.json:
          cache: false
"""


class Repository:
    """A real one, with DVC and a folder as its remote."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *command: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.com", *command],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, wrong: range, lr: float, training_images: int) -> None:
        """What the stages of a model that has the images in `wrong` wrong will copy."""
        source = self.root / "source"
        source.mkdir(exist_ok=True)
        params = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text(encoding="utf-8"))
        params |= {"dataset": "folder", "source": "signs.zip", "lr": lr, "threads": 1}
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        (source / "model.onnx").write_bytes(model(lr))
        sha256 = hashlib.sha256(model(lr)).hexdigest()
        contract = Contract("folder", CLASSES, SIDE, 0.1, (0.5,) * 3, (0.2,) * 3)
        completed = contract.completed(temperature=1.0, weights_sha256="0" * 64, onnx_sha256=sha256, threshold=0.5)
        completed.write(source / "contract.json")
        rows = predictions(wrong)
        rows.to_parquet(source / "predictions.parquet", index=False)
        accuracy = float((rows["label"] == rows["predicted"]).mean())
        figures = {"images": IMAGES, "accuracy": round(accuracy, 6), "min_class_recall": 0.5}
        (source / "metrics.json").write_text(json.dumps({**figures, "expected_calibration_error": 0.01}))
        (source / "export.json").write_text(json.dumps({"onnx_bytes": len(model(lr))}))
        manifest(training_images).to_parquet(source / "manifest.parquet", index=False)
        np.save(source / "test.npy", np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 3), np.uint8))

    def dvc(self, *command: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *command, "--quiet"], cwd=self.root, check=True)

    def commit(self, message: str) -> str:
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def report(self, base: str, head: str | None = None) -> tuple[str, str, str]:
        """The verdict, the Markdown and the page."""
        written = run.run(self.root, base, head, self.root / "out")
        return written.verdict, written.markdown.read_text("utf-8"), written.page.read_text("utf-8")


def model(lr: float) -> bytes:
    """Logits from an image's mean colour; the rate only makes two models differ."""
    weights = {"slope": np.eye(3, dtype=np.float32) * np.float32(lr), "offset": np.zeros(3, np.float32)}
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("Gemm", ["mean", "slope", "offset"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean_colour",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def predictions(wrong: range) -> pd.DataFrame:
    rows = range(IMAGES)
    labels = np.arange(IMAGES) % len(CLASSES)
    predicted = (labels + np.isin(rows, wrong)) % len(CLASSES)
    confidence = 0.9 - np.arange(IMAGES) / 1000
    return pd.DataFrame(
        {
            "archive": "test.zip",
            "member": [f"images/{row:03d}.png" for row in rows],
            "label": labels,
            "group": [f"{row // 3}" for row in rows],
            "part": "",
            "pixels_sha256": [hashlib.sha256(f"picture {row}".encode()).hexdigest() for row in rows],
            "predicted": predicted,
            "confidence": confidence,
            "probability_of_label": np.where(predicted == labels, confidence, 0.05),
            "brier_score": 0.1,
        }
    )


def manifest(images: int) -> pd.DataFrame:
    names = [f"train/{row:03d}.png" for row in range(images)]
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    columns = {"archive": "train.zip", "member": names, "class_name": "red", "split": "train"}
    return pd.DataFrame(columns | {"bytes_sha256": hashes, "pixels_sha256": hashes})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two commits: `old` has 30 of 90 images wrong, `new` (the branch) 3, and one more than `old` has right."""
    folder = tmp_path_factory.mktemp("reported")
    repository = Repository(folder / "repository")
    repository.root.mkdir()
    repository.git("init", "--quiet", "--initial-branch", "new")
    repository.dvc("init")
    config = (
        f"[core]\n    analytics = false\n    remote = storage\n['remote \"storage\"']\n    url = {folder / 'remote'}\n"
    )
    (repository.root / ".dvc" / "config").write_text(config)
    (repository.root / "dvc.yaml").write_text(GRAPH)
    (repository.root / ".gitignore").write_text("/out/\n")
    for name, wrong, lr, images in (("old", range(0, 30), 0.1, 20), ("new", range(28, 33), 0.02, 22)):
        repository.write(wrong, lr, images)
        repository.dvc("repro")
        repository.commit(name)
        repository.git("tag", f"at-{name}")
    repository.git("update-ref", f"refs/exps/ab/{38 * 'c'}/tuned", "at-new")
    repository.dvc("push", "--all-commits")
    return repository


@pytest.fixture
def repository(original: Repository, tmp_path: Path) -> Repository:
    """A copy of one's own, its cache and workspace with it."""
    shutil.copytree(original.root, tmp_path / "repository", symlinks=True)
    return Repository(tmp_path / "repository")


@pytest.fixture
def clone(original: Repository, tmp_path: Path) -> Callable[..., Repository]:
    """A clone without any data, made with more arguments for git."""

    def clone(*arguments: str) -> Repository:
        target = tmp_path / "clone"
        original.git("clone", "--quiet", *arguments, f"file://{original.root}", str(target))
        return Repository(target)

    return clone


VERDICT = "Better: accuracy 66.67 % → 94.44 %, +27.78 points (95 % interval "


def test_workspace_is_held_against_a_commit(original: Repository) -> None:
    verdict, report, page = original.report("at-old")
    assert verdict.startswith(VERDICT)
    assert report.startswith(f"**Better**: {verdict.removeprefix('Better: ')}\n")
    assert "⚠️" not in report
    assert "| `lr` | `0.1` | `0.02` |" in report
    assert "2 images added (2 in train)." in report
    assert "| `source/model.onnx` |" in report
    assert "<b>Newly right: 28 images</b>" in report
    assert "<b>Newly wrong: 3 images</b>" in report
    assert "| Latency of one image | 0." in report
    assert "| `gate_min_accuracy` | accuracy | at least 0.95 | 0.944444 | **failed** |" in report
    assert "| validate | sources `source/manifest.parquet` | `data/manifest.parquet` |" in report
    assert page.count('<img src="data:image/jpeg;base64,') == 28 + 3


def test_commit_and_experiment_are_read_from_the_cache(original: Repository) -> None:
    for head in ("at-new", "tuned"):
        verdict, report, page = original.report("at-old", head)
        assert verdict.startswith(VERDICT)
        assert "⚠️" not in report
        assert page.count("<img") == 31
    assert original.report("tuned", "at-old")[0].startswith("Worse: accuracy 94.44 % → 66.67 %")


def test_same_revisions_give_the_same_bytes(original: Repository) -> None:
    first = original.report("at-old", "at-old")
    assert first == original.report("at-old", "at-old")
    assert first[0].startswith("No real difference: accuracy 66.67 % → 66.67 %, 0.00 points")


def test_what_is_not_in_the_cache_comes_from_the_remote(clone: Callable[..., Repository]) -> None:
    verdict, report, page = clone().report("at-old", "at-new")
    assert verdict.startswith(VERDICT)
    assert page.count("<img") == 31
    assert "sound copy" not in report


def test_workspace_without_its_files_is_read_from_the_remote(clone: Callable[..., Repository]) -> None:
    verdict, report, page = clone().report("at-old")
    assert verdict.startswith(VERDICT)
    assert page.count("<img") == 31
    assert "or fetch what is missing" in report


def test_workspace_that_dvc_cannot_read_is_told_in_a_sentence(repository: Repository) -> None:
    (repository.root / "dvc.yaml").write_text("stages: [")
    with pytest.raises(
        WaymarkError, match=r"^dvc status: .*dvc\.yaml', YAML file structure is corrupted; mend that, and"
    ):
        repository.report("at-old")


def test_what_cannot_be_had_is_named(clone: Callable[..., Repository]) -> None:
    repository = clone()
    (repository.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = nowhere\n")
    verdict, report, _ = repository.report("at-old", "at-new")
    assert verdict == (
        "No verdict: the base’s and the head’s predictions have no sound copy on this machine nor in DVC’s remote;"
        " accuracy 66.67 % at the base; accuracy 94.44 % at the head"
    )
    assert (
        "> ⚠️ Neither this machine nor DVC’s remote has a sound copy of `models/contract.json`,"
        " `reports/predictions.parquet`, `data/manifest.parquet`, of `at-new`. `dvc push` by whoever ran it, then"
        " `dvc fetch` here, brings what is missing.\n"
    ) in report
    assert (
        "> ⚠️ For a verdict without them compare what ran on this machine: `waymark runs` lists the DVC experiments that"
        " `--base` and `--head` take. To make one of `at-old`, check it out and"
        " `dvc exp run --temp --name NAME`.\n"
    ) in report
    assert "| accuracy | 0.6667 | 0.9444 | +0.2778 |" in report
    assert "Latency was not measured" in report


def test_remote_that_does_not_answer_is_asked_once(
    clone: Callable[..., Repository], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    repository = clone()
    config = "['remote \"storage\"']\n    url = s3://bucket/dvc\n    endpointurl = http://127.0.0.1:9\n"
    (repository.root / ".dvc" / "config.local").write_text(config)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    verdict, report, _ = repository.report("at-old", "at-new")
    assert verdict.startswith(
        "No verdict: the base’s and the head’s predictions are not on this machine, and DVC’s remote cannot be asked"
        " (Connection refused);"
    )
    assert (
        "> ⚠️ DVC’s remote cannot be asked (Connection refused), and this machine has no sound copy of"
        " `models/contract.json`, `reports/predictions.parquet`, `data/manifest.parquet`, of `at-old`. `dvc fetch`"
        " brings what is missing once the remote works.\n"
    ) in report
    assert "127.0.0.1" not in report
    assert len([record for record in caplog.records if record.name == "waymark.reporting.storage"]) == 1


def test_figure_of_a_clone_where_nothing_was_run_is_called_committed(clone: Callable[..., Repository]) -> None:
    repository = clone()
    (repository.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = nowhere\n")
    verdict, _, _ = repository.report("at-old")
    assert verdict.endswith(
        "accuracy 66.67 % at the base; accuracy 94.44 % at the head (the committed figure: nothing was run here;"
        " `make repro`)"
    )


def test_images_that_cannot_be_shown_are_named(clone: Callable[..., Repository], original: Repository) -> None:
    repository = clone()
    md5 = yaml.safe_load(original.git("show", "at-new:dvc.lock"))["stages"]["prepare"]["outs"][0]["md5"]
    shutil.copytree(original.root / ".dvc" / "cache", repository.root / ".dvc" / "cache")
    (repository.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    (repository.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = nowhere\n")
    verdict, report, page = repository.report("at-old", "at-new")
    assert verdict.startswith(VERDICT)
    assert "has a sound copy of `data/prepared/test.npy`, of `at-new`. " in report
    assert "<img" not in page
    assert page.count("<tr><td><code>images/") == 28 + 3


def test_table_of_another_version_is_named(repository: Repository) -> None:
    path = make_writable(repository.root / "reports" / "predictions.parquet")
    path.write_bytes(b"PAR1")
    report = repository.report("at-old")[1]
    assert "> ⚠️ Damaged, or by another version of Waymark: `reports/predictions.parquet`, of the workspace.\n" in report


def test_answers_that_the_contract_has_no_class_for_are_named(repository: Repository) -> None:
    """As where only some of the files were fetched."""
    path = make_writable(repository.root / "reports" / "predictions.parquet")
    rows = pd.read_parquet(path)
    for changed in ({"label": len(CLASSES)}, {"predicted": None}):
        rows.assign(**changed).to_parquet(path, index=False)
        verdict, report, _ = repository.report("at-old")
        assert verdict.startswith(
            "No verdict: the head’s predictions are damaged, or by another version of Waymark; accuracy 66.67 % at"
        )
        assert "committed figure" not in verdict
        assert "> ⚠️ Damaged, or by another version of Waymark: `reports/predictions.parquet`, of the work" in report


def test_array_that_is_cut_off_shows_no_pictures(repository: Repository) -> None:
    path = make_writable(repository.root / "data" / "prepared" / "test.npy")
    path.write_bytes(path.read_bytes()[:-1])
    verdict, _, page = repository.report("at-old")
    assert verdict.startswith(VERDICT)
    assert "<img" not in page


def test_folder_below_the_root_is_sent_there_and_stays_as_it_is(original: Repository) -> None:
    folder = original.root / "source"
    before = sorted(folder.rglob("*"))
    done = command(folder, "--base", "at-old")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {folder}: no dvc.yaml is here; run from the repository's root\n"
    assert sorted(folder.rglob("*")) == before


def test_plain_error_needs_no_library(original: Repository) -> None:
    """They take a second or more to import."""
    asked = "from waymark.cli import main; import sys; sys.argv[1:] = ['report', '--base', 'nowhere']\n"
    asked += "try: main()\nfinally: print({'numpy', 'pandas', 'scipy', 'dvc', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=original.root, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == "set()\n"
    assert done.stderr.startswith("error: 'nowhere': no revision that git knows")


def test_damaged_file_in_the_cache_is_not_believed(repository: Repository) -> None:
    lock = yaml.safe_load(repository.git("show", "at-old:dvc.lock"))["stages"]
    md5 = lock["evaluate"]["outs"][-1]["md5"]
    assert lock["evaluate"]["outs"][-1]["path"] == "reports/predictions.parquet"
    cached = repository.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.chmod(0o644)
    cached.write_bytes(cached.read_bytes()[:-1] + b"x")
    verdict, report, _ = repository.report("at-old")
    assert verdict.startswith("No verdict: the base’s predictions have no sound copy on this machine nor in DVC’s")
    assert "has a sound copy of `reports/predictions.parquet`, of `at-old`. " in report


def test_base_that_was_never_run_leaves_the_heads_figures_alone(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "empty")
    repository.git("rm", "-r", "--quiet", "--cached", ".")
    (repository.root / "note.txt").write_text("nothing yet")
    repository.git("add", "note.txt")
    repository.git("commit", "--quiet", "--message", "Start")
    verdict, report, _ = repository.report("empty", "at-new")
    assert verdict == ("No verdict: nothing was evaluated at the base; accuracy 94.44 % at the head")
    assert "There is no `dvc.lock` at `empty`: no stage has run there." in report
    assert "| accuracy |  | 0.9444 |  |" in report
    assert "| validate | new: the base has no run of it | – |" in report


def test_test_sets_without_a_common_image_are_said(repository: Repository) -> None:
    path = make_writable(repository.root / "reports" / "predictions.parquet")
    rows = pd.read_parquet(path)
    rows.assign(pixels_sha256=rows["pixels_sha256"].str[::-1]).to_parquet(path, index=False)
    verdict, report, _ = repository.report("at-old")
    assert verdict.startswith("No verdict: the old test of 90 images and the new one of 90 share none under the same")
    assert "would run `evaluate` again" in report  # for this is not the file that the stage wrote


def make_writable(path: Path) -> Path:
    """DVC may have put a link to its cache there."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    return path


def test_class_that_was_added_before_others_changes_no_label(repository: Repository) -> None:
    """Labels number the classes in their order: one more at the front moves all of them."""
    contract = make_writable(repository.root / "models" / "contract.json")
    contract.write_text(contract.read_text().replace('"red"', '"amber",\n    "red"'))
    path = make_writable(repository.root / "reports" / "predictions.parquet")
    rows = pd.read_parquet(path)
    rows.assign(label=rows["label"] + 1, predicted=rows["predicted"] + 1).to_parquet(path, index=False)
    assert repository.report("at-old")[0].startswith(VERDICT)


def test_workspace_that_is_not_as_dvc_lock_tells_is_said(repository: Repository) -> None:
    params = repository.root / "params.yaml"
    params.write_text(params.read_text().replace("lr: 0.02", "lr: 0.5"))
    verdict, report, _ = repository.report("at-old")
    assert verdict.startswith(VERDICT)
    assert (
        "> ⚠️ In the workspace, `dvc repro` would run `export` again, or fetch what is missing (`dvc status` says why)."
        in report
    )
    assert "| `lr` | `0.1` | `0.02` |" in report  # what the model was made with


def test_commit_whose_sources_changed_after_the_run_is_said(repository: Repository) -> None:
    (repository.root / "source" / "contract.json").write_text("{}")
    repository.commit("Change without a run")
    report = repository.report("at-old", "HEAD")[1]
    assert (
        "> ⚠️ At `HEAD`, `dvc repro` would run `export` again: their sources or parameters changed after their last run"
    ) in report


def test_base_with_commits_of_its_own_is_said(repository: Repository) -> None:
    assert "The base has 1 commit that the head does not build on" in repository.report("at-new", "at-old")[1]


def test_experiment_is_no_branch_that_runs_ahead(repository: Repository) -> None:
    start = repository.git("rev-parse", "at-old")
    commit = repository.git("commit-tree", "at-new^{tree}", "-p", start, "-m", "dvc: commit experiment")
    repository.git("update-ref", f"refs/exps/{start[:2]}/{start[2:]}/sibling", commit)
    assert "does not build on" not in repository.report("sibling", "at-old")[1]
    repository.git("branch", "kept", commit)
    assert "The base has 1 commit that the head does not build on" in repository.report("sibling", "at-old")[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<<<<<<< HEAD\na: 1\n=======\n", "dvc.lock of HEAD: not valid YAML"),
        ("stages:\n  train: {outs: [{path: a}]}\n", "dvc.lock of HEAD: not as DVC writes it; `make repro` there"),
        ("- a\n", "dvc.lock of HEAD: expected one `key: value` a line"),
    ],
)
def test_damaged_lock_is_named(repository: Repository, content: str, said: str) -> None:
    (repository.root / "dvc.lock").write_text(content)
    repository.commit("Merge badly")
    with pytest.raises(WaymarkError, match=f"^{re.escape(said)}") as caught:
        repository.report("HEAD", "at-old")
    assert "\n" not in str(caught.value)


def test_shallow_clone_is_told_what_to_fetch(clone: Callable[..., Repository]) -> None:
    with pytest.raises(
        WaymarkError, match=r"^'at-old': git does not have it, for this clone is shallow; run .*`fetch-dep"
    ):
        clone("--depth", "1").report("at-old")


@pytest.mark.parametrize("name", ["nowhere", "--help", "HEAD^{tree}", ""])
def test_unknown_revision_is_told_in_a_sentence(original: Repository, name: str) -> None:
    with pytest.raises(WaymarkError, match="no revision that git knows, nor an experiment of DVC's"):
        original.report(name)


def test_command_prints_the_verdict_and_where_the_pages_are(original: Repository) -> None:
    done = command(original.root, "--base", "at-old", "--head", "at-new", "--output", "out/pages")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith(VERDICT)
    assert second == "out/pages/report.md and out/pages/report.html tell the rest"
    assert done.stderr == "comparing at-new with at-old …\n"


def test_folder_outside_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        WaymarkError, match=f"^{re.escape(str(tmp_path))}: not in a git repository; run from a clone of"
    ):
        run.run(tmp_path, "main", None, tmp_path / "out")


def command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    called: list[Any] = [sys.executable, "-m", "waymark.cli", "report", *arguments]
    return subprocess.run(called, cwd=folder, capture_output=True, text=True)
