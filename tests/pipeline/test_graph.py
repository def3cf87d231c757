"""dvc.yaml declares what the stages read: exactly the parameters, exactly the source files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
Python = Callable[..., Any]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
SMALL = {
    "rendered_tracks": 4,
    "rendered_frames": 2,
    "image_size": 16,
    "width": 8,
    "epochs": 1,
    "threads": 1,
}


@pytest.fixture(scope="module")
def traces(python: Python, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """What each stage read, by running the whole graph on a small data set: once drawn, once from its archives."""
    drawn = tmp_path_factory.mktemp("rendered")
    read = run_graph(python, drawn, list(GRAPH), dataset="rendered", source="auto")
    archives = drawn / "data" / "raw" / "rendered"
    own = ["collect", "validate", "prepare"]  # from then on it is all the same where images came from
    fetched = run_graph(python, tmp_path_factory.mktemp("gtsrb"), own, dataset="gtsrb", source=str(archives))
    for stage, kinds in fetched.items():
        for kind, names in kinds.items():
            read[stage][kind] |= names
    return read


def run_graph(python: Python, folder: Path, stages: list[str], **changed: object) -> dict[str, dict[str, set[str]]]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | SMALL | changed
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (folder / "expectations").symlink_to(ROOT / "expectations")
    read = {}
    for stage in stages:
        # One process a stage, as under DVC: what one stage imports must not count for the next.
        done = python(folder, str(Path(__file__).with_name("trace_stage.py")), stage)
        assert done.returncode == 0, done.stderr
        read[stage] = {kind: set(names) for kind, names in json.loads(done.stdout.splitlines()[-1]).items()}
    return read


def declared_sources(stage: str) -> set[str]:
    files: set[str] = set()
    for dependency in GRAPH[stage]["deps"]:
        path = ROOT / dependency
        if dependency.startswith("src/"):
            found = path.rglob("*.py") if path.is_dir() else [path]
            files |= {str(file.relative_to(ROOT)) for file in found if file.stat().st_size}
    return files


@pytest.mark.slow
@pytest.mark.parametrize("stage", GRAPH)
def test_stage_declares_exactly_the_parameters_it_reads(stage: str, traces: dict[str, dict[str, set[str]]]) -> None:
    assert set(GRAPH[stage]["params"]) == traces[stage]["params"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", GRAPH)
def test_stage_declares_exactly_the_sources_it_imports(stage: str, traces: dict[str, dict[str, set[str]]]) -> None:
    assert declared_sources(stage) == traces[stage]["sources"]


def test_every_parameter_is_read_by_some_stage_but_those_of_promotion() -> None:
    keys = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    read = {key for key in keys if not key.startswith("gate_") and key != "seed_std"}
    assert read == {key for stage in GRAPH.values() for key in stage["params"]}


def test_only_evaluate_depends_on_the_prepared_test_split() -> None:
    readers = [name for name, stage in GRAPH.items() if any("prepared/test" in str(dep) for dep in stage["deps"])]
    assert readers == ["evaluate"]


def test_stage_runs_the_file_of_its_own_name() -> None:
    for name, stage in GRAPH.items():
        assert stage["cmd"] == f"python -m waymark.stages.{name}"
        assert stage["desc"]
        assert f"src/waymark/stages/{name}.py" in stage["deps"]
