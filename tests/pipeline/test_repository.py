"""The whole repository as its users have it: cloned, run, pushed, pulled, changed. Small data, the real graph."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import s3 as server
import yaml

ROOT = Path(__file__).resolve().parents[2]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SMALL = {
    "rendered_tracks": 4,
    "rendered_frames": 2,
    "image_size": 16,
    "width": 8,
    "epochs": 1,
    "threads": 1,
    "corruption_images": 8,
}

Run = Callable[..., Any]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(
    tmp_path_factory: pytest.TempPathFactory, run: Run, copy_repository: Callable[[Path], None], s3_server: Any
) -> Path:
    """This repository with small parameters: run, committed, its data pushed."""
    repository = tmp_path_factory.mktemp("published")
    copy_repository(repository)
    for key, value in SMALL.items():
        set_parameter(repository, key, value)
    run(repository, "git", "init", "--quiet")
    server.create_bucket(s3_server.client(), s3_server.bucket)
    s3_server.point_dvc_at(repository)
    dvc(run, repository, "repro", "--quiet")
    run(repository, "git", "add", ".")
    run(repository, "git", "commit", "--quiet", "--message", "Run the graph")
    dvc(run, repository, "push", "--quiet")
    return repository


@pytest.fixture
def fresh(published: Path, run: Run, s3_server: Any, tmp_path: Path) -> Path:
    """Its commits on another machine: no data, no cache, another folder."""
    target = tmp_path / "another pläce"
    run(tmp_path, "git", "clone", "--quiet", str(published), str(target))
    s3_server.point_dvc_at(target)
    return target


def dvc(run: Run, repository: Path, *arguments: str, **options: Any) -> Any:
    """DVC on the repository's own sources: without PYTHONPATH the stages would be those of the installed package."""
    return run(repository, "dvc", *arguments, PYTHONPATH=str(repository / "src"), **options)


def set_parameter(repository: Path, key: str, value: object) -> None:
    path = repository / "params.yaml"
    changed, count = re.subn(rf"(?m)^{key}: \S+", f"{key}: {value}", path.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(changed, encoding="utf-8")


def stages_that(what: str, output: str) -> list[str]:
    """Names from `dvc repro`'s output: `what` is "ran", "restored" (from the run cache) or "kept"."""
    said = {
        "ran": r"Running stage '(\w+)':",
        "restored": r"Stage '(\w+)' is cached",
        "kept": r"Stage '(\w+)' didn't change",
    }
    return re.findall(said[what], output)


def test_fresh_clone_pulls_and_runs_no_stage(fresh: Path, run: Run) -> None:  # R2
    dvc(run, fresh, "pull", home="elsewhere")
    assert stages_that("kept", dvc(run, fresh, "repro", home="elsewhere").stdout) == list(GRAPH)
    assert dvc(run, fresh, "status", home="elsewhere").stdout == "Data and pipelines are up to date.\n"
    assert run(fresh, "git", "status", "--porcelain").stdout == ""


def test_repro_with_pull_fetches_what_is_missing_and_runs_no_stage(fresh: Path, run: Run) -> None:
    output = dvc(run, fresh, "repro", "--pull", home="elsewhere").stdout
    assert stages_that("ran", output) == []
    assert (fresh / "models" / "model.onnx").stat().st_size > 100_000
    assert dvc(run, fresh, "status", home="elsewhere").stdout == "Data and pipelines are up to date.\n"


def test_run_elsewhere_gives_the_same_bytes_of_every_output(fresh: Path, run: Run) -> None:  # R1, R5, R6
    elsewhere = {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Chatham", "LC_ALL": "C", "PYTHONPATH": str(fresh / "src")}
    output = run(fresh, "sh", "-c", "umask 077; dvc repro", home="elsewhere", **elsewhere).stdout
    # What `track` reads is as dvc.lock has it, to the byte: the outcome is not a new one.
    assert (stages_that("ran", output), stages_that("kept", output)) == (list(GRAPH)[:-1], ["track"])
    # dvc.lock holds the hash of each output in DVC's cache; the small reports are in git themselves.
    assert run(fresh, "git", "status", "--porcelain").stdout == ""


def test_data_set_is_a_handful_of_objects_in_the_remote(published: Path) -> None:
    files = [path for path in (published / "data" / "raw").rglob("*") if path.is_file()]
    assert len(files) + 1 <= 10  # and the folder's listing


def test_flipped_byte_of_an_archive_in_the_remote_is_caught_by_pull(
    fresh: Path, run: Run, s3_server: Any
) -> None:  # K6
    lock = yaml.safe_load((fresh / "dvc.lock").read_text(encoding="utf-8"))
    (model,) = (out["md5"] for out in lock["stages"]["export"]["outs"] if out["path"] == "models/model.onnx")
    stored = s3_server.data / "waymark" / "dvc" / "files" / "md5" / model[:2] / model[2:]
    whole = stored.read_bytes()
    try:
        stored.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
        refused = dvc(run, fresh, "pull", home="elsewhere", check=False)
    finally:
        stored.write_bytes(whole)
    assert refused.returncode != 0
    assert "models/model.onnx" in refused.stderr
    assert not (fresh / "models" / "model.onnx").exists()


CHANGE_EACH = """
import json, re, sys
from pathlib import Path
from dvc.repo import Repo

path, seen = Path("params.yaml"), {}
before = path.read_text(encoding="utf-8")
for key in re.findall(r"(?m)^(\\w+):", before):
    path.write_text(re.sub(rf"(?m)^{key}: \\S+", f"{key}: 4711", before), encoding="utf-8")
    with Repo() as repo:
        seen[key] = sorted(repo.status())
path.write_text(before, encoding="utf-8")
print(json.dumps(seen))
"""


def test_changed_parameter_concerns_exactly_the_stages_that_read_it(published: Path, run: Run) -> None:  # R3
    changed = json.loads(run(published, sys.executable, "-c", CHANGE_EACH).stdout)
    keys = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    readers = {key: sorted(name for name, stage in GRAPH.items() if key in stage["params"]) for key in keys}
    assert changed == readers


def test_experiment_reruns_from_the_changed_stage_on_and_can_be_compared(
    published: Path, run: Run, tmp_path: Path
) -> None:
    output = dvc(run, published, "exp", "run", "--set-param", "lr=0.02", "--name", "gentler").stdout
    assert stages_that("kept", output) == ["collect", "validate", "prepare"]
    assert stages_that("ran", output) == ["train", "export", "evaluate", "track"]

    # dvc.lock's hash leads from DVC's experiment to MLflow's run, and back.
    listed = json.loads(run(published, "waymark", "runs", "--format", "json", "--commits", "1").stdout)
    workspace, experiment, commit = (row for row in listed if row["kind"] != "run")
    assert (experiment["experiment"], experiment["run_name"]) == ("gentler", "gentler")
    assert experiment["run"] == workspace["run"] != commit["run"] != ""

    table = dvc(run, published, "exp", "show", "--csv").stdout
    assert "gentler" in table
    metrics = json.loads(dvc(run, published, "metrics", "diff", "--json").stdout)
    assert "negative_log_likelihood" in json.dumps(metrics)
    page = tmp_path / "plots"
    dvc(run, published, "plots", "diff", "--out", str(page))
    assert "Recall of each class" in (page / "index.html").read_text(encoding="utf-8")

    run(published, "git", "checkout", "--quiet", ".")
    dvc(run, published, "checkout", "--quiet")
    assert dvc(run, published, "status").stdout == "Data and pipelines are up to date.\n"


def test_other_data_set_and_back_restores_from_the_cache(published: Path, run: Run, tmp_path: Path) -> None:
    archives = tmp_path / "archives"
    shutil.copytree(published / "data" / "raw" / "rendered", archives)
    data_stages = ["collect", "validate", "prepare"]
    set_parameter(published, "dataset", "gtsrb")
    set_parameter(published, "source", str(archives))
    assert stages_that("ran", dvc(run, published, "repro", "prepare").stdout) == data_stages
    assert [path.name for path in (published / "data" / "raw").iterdir()] == ["gtsrb"]

    set_parameter(published, "dataset", "rendered")
    set_parameter(published, "source", "auto")
    output = dvc(run, published, "repro", "prepare").stdout
    assert stages_that("restored", output) == [stage for stage in data_stages if has_run_cache(stage)]
    assert run(published, "git", "status", "--porcelain").stdout == ""


def has_run_cache(stage: str) -> bool:
    """DVC keeps no runs of a stage with an output outside its cache, unless that is a metric or a plot."""
    outs = [options for out in GRAPH[stage]["outs"] if isinstance(out, dict) for options in out.values()]
    return all(options.get("cache", True) for options in outs)
