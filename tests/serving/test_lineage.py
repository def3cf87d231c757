"""What is told of a model is true of the file that is served, or it is not told."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from waymark import paths
from waymark.serving import lineage

METRICS = {"accuracy": 0.99, "images": 100}
CARD = "# Model card\n"
UNKNOWN = dict.fromkeys(("parameters", "data", "metrics", "card"))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `dvc repro` leaves, outside git."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for path, text in ((paths.ONNX, "onnx"), (paths.METRICS, json.dumps(METRICS)), (paths.MODEL_CARD, CARD)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    lock(tmp_path)
    return tmp_path


def lock(root: Path, source: str = "auto") -> None:
    """Write a dvc.lock that is true of the files under `root`."""

    def entries(*found: Path) -> list[dict[str, str]]:
        return [{"path": path.as_posix(), "md5": md5(root / path)} for path in found]

    stages = {
        "collect": {
            "params": {"params.yaml": {"dataset": "gtsrb", "source": source}},
            "outs": [{"path": "data/raw", "md5": "0123.dir"}],
        },
        "train": {"params": {"params.yaml": {"lr": 0.05}}},
        "export": {"outs": entries(paths.ONNX)},
        "evaluate": {"deps": entries(paths.ONNX), "outs": entries(paths.METRICS, paths.MODEL_CARD)},
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")


def git(root: Path, *command: str) -> str:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    done = subprocess.run(["git", "-C", root, *identity, *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_outside_git_all_but_the_commit_is_told(root: Path) -> None:
    assert lineage.read(root) == {
        "commit": None,
        "changed": None,
        "parameters": {"dataset": "gtsrb", "source": "auto", "lr": 0.05},
        "data": {"data/raw": "0123.dir", "models/model.onnx": md5(root / paths.ONNX)},
        "metrics": METRICS,
        "card": CARD,
    }


def test_the_commit_and_what_was_changed_since_are_told(root: Path) -> None:
    git(root, "init", "--quiet")
    assert lineage.read(root)["commit"] is None  # nothing is committed yet
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "Start")
    head = git(root, "rev-parse", "HEAD")
    assert (lineage.read(root)["commit"], lineage.read(root)["changed"]) == (head, False)
    (root / "picture.png").touch()  # what git does not know is no part of the model
    assert (lineage.read(root)["commit"], lineage.read(root)["changed"]) == (head, False)
    (root / lineage.LOCK).write_text("stages: {}")
    assert (lineage.read(root)["commit"], lineage.read(root)["changed"]) == (head, True)


@pytest.mark.parametrize("path", [paths.ONNX, paths.METRICS, paths.MODEL_CARD], ids=str)
def test_a_lock_that_tells_of_another_file_is_not_believed(root: Path, path: Path) -> None:
    (root / path).write_bytes((root / path).read_bytes() + b" ")
    assert lineage.read(root) == {"commit": None, "changed": None, **UNKNOWN}


@pytest.mark.parametrize("path", [paths.ONNX, paths.METRICS, paths.MODEL_CARD, Path("dvc.lock")], ids=str)
def test_a_missing_file_leaves_the_rest_unknown(root: Path, path: Path) -> None:
    (root / path).unlink()
    assert lineage.read(root) == {"commit": None, "changed": None, **UNKNOWN}


@pytest.mark.parametrize("text", ["", "[]", "stages: {}", "stages: {evaluate: {deps: []}}", "a: [", "stages: 3"])
def test_a_lock_that_says_nothing_leaves_the_rest_unknown(root: Path, text: str) -> None:
    (root / "dvc.lock").write_text(text, encoding="utf-8")
    assert lineage.read(root) == {"commit": None, "changed": None, **UNKNOWN}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("/home/someone/Downloads/archive.zip", "archive.zip"),
        ("../elsewhere/Train/", "Train"),
        ("auto", "auto"),
        ("s3://bucket/asl/", "s3://bucket/asl/"),
        ("https://example.org/a.tar.gz", "https://example.org/a.tar.gz"),
    ],
)
def test_a_local_source_is_told_by_its_name_alone(root: Path, source: str, told: str) -> None:
    lock(root, source)
    assert lineage.read(root)["parameters"]["source"] == told


def test_a_package_tells_what_was_packed(root: Path) -> None:
    packed: dict[str, Any] = {**UNKNOWN, "commit": "c" * 40, "changed": False, "metrics": {"accuracy": 0.5}}
    (root / "lineage.json").write_text(json.dumps(packed), encoding="utf-8")
    assert lineage.read(root) == packed
