"""The graph gives the same bytes again: in any order of directories, run by force, and after DVC itself was killed."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"rendered_tracks": 4, "rendered_frames": 2, "image_size": 16, "width": 8, "epochs": 40, "threads": 1}

SHUFFLED = """
import os, random, sys

chance, listdir, scandir = random.Random(7), os.listdir, os.scandir

def shuffled(entries):
    return chance.sample(entries, len(entries))

class Entries:
    def __init__(self, path):
        with scandir(path) as entries:
            self.entries = iter(shuffled(list(entries)))
    def __iter__(self):
        return self.entries
    def __next__(self):
        return next(self.entries)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def close(self):
        pass

from waymark import params
from waymark.stages import collect, prepare, validate

os.listdir = lambda path=".": shuffled(listdir(path))
os.scandir = lambda path=".": Entries(path)
for folder in sys.argv[1:]:
    os.chdir(folder)
    for stage in (collect, validate, prepare):
        stage.run(params.load())
"""


def pictures(folder: Path) -> Path:
    """A folder of two class folders with pictures of noise."""
    chance = np.random.default_rng(0)
    for name in ("apple", "banana"):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            file = io.BytesIO()
            Image.fromarray(chance.integers(0, 256, (20, 20, 3), np.uint8)).save(file, "PNG")
            (folder / name / f"{number}.png").write_bytes(file.getvalue())
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = [path for room in ("data", "reports") for path in (folder / room).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_order_of_directories_changes_no_byte(tmp_path: Path) -> None:  # R7
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    document |= {"dataset": "folder", "source": str(pictures(tmp_path / "fruit")), "image_size": 16}
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        (folder / "expectations").symlink_to(ROOT / "expectations")
        (folder / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [sys.executable, "-c", SHUFFLED, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = [contents(folder) for folder in folders]
    assert {"data/manifest.parquet", "data/prepared/train.npy", "reports/data.html"} <= made[0].keys()
    assert made[0] == made[1]


@pytest.fixture
def repository(committed_copy: Path, run: Callable[..., Any]) -> Path:
    """This repository with small parameters, its graph run and committed."""
    document = yaml.safe_load((committed_copy / "params.yaml").read_text(encoding="utf-8")) | SMALL
    (committed_copy / "params.yaml").write_text(json.dumps(document), encoding="utf-8")
    run(committed_copy, "dvc", "repro", "--quiet", PYTHONPATH=str(committed_copy / "src"))
    run(committed_copy, "git", "add", ".")
    run(committed_copy, "git", "commit", "--quiet", "--message", "Run the graph")
    return committed_copy


# DVC, its shell and the training are one process group. To the next DVC it lives until somebody has waited for it.
KILLED = """
setsid dvc repro --force --no-run-cache --single-item train &
until test -s models/checkpoint; do sleep 0.05; done
kill -9 -$!
wait $!
"""


@pytest.mark.long
def test_training_goes_on_to_the_same_bytes_where_dvc_repro_was_killed(
    repository: Path, run: Callable[..., Any]
) -> None:
    sources = str(repository / "src")
    assert run(repository, "sh", "-c", KILLED, check=False, PYTHONPATH=sources).returncode == 137
    assert not (repository / "models" / "model.safetensors").exists()
    again = ("dvc", "repro", "--force", "--no-run-cache", "--single-item", "train")
    assert "training goes on after " in run(repository, *again, PYTHONPATH=sources).stderr
    # dvc.lock holds the hash of each output.
    assert run(repository, "git", "status", "--porcelain").stdout == ""


@pytest.mark.long
def test_graph_run_by_force_leaves_the_lock_as_it_was(repository: Path, run: Callable[..., Any]) -> None:  # R1
    for _ in range(2):
        run(repository, "dvc", "repro", "--force", "--no-run-cache", PYTHONPATH=str(repository / "src"))
        assert run(repository, "git", "status", "--porcelain").stdout == ""
