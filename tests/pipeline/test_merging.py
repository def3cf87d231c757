"""Two branches that both ran the graph: the merge stops, and the graph's next run settles it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

GRAPH = """
stages:
  train:
    cmd: python train.py
    params: [lr, epochs]
    outs: [model.txt]
    metrics:
      - reports/metrics.json:
          cache: false
"""
TRAIN = """
import json, pathlib, yaml
outcome = yaml.safe_load(open("params.yaml"))
pathlib.Path("model.txt").write_text(str(outcome))
pathlib.Path("reports/metrics.json").write_text(json.dumps(outcome, indent=2))
"""


@pytest.fixture
def repository(tmp_path: Path, run: Run) -> Path:
    """A small graph under this repository's .gitattributes, run and committed on main."""
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    run(tmp_path, "git", "init", "--quiet", "--initial-branch=main")
    run(tmp_path, "dvc", "init", "--quiet")
    commit_run(tmp_path, run, lr=1, epochs=1)
    return tmp_path


def commit_run(repository: Path, run: Run, lr: int, epochs: int) -> None:
    """Run the graph and commit what came out. The settings stand apart, so that git can merge a change of each."""
    (repository / "params.yaml").write_text(f"lr: {lr}\n\n# …\n\nepochs: {epochs}\n", encoding="utf-8")
    run(repository, "dvc", "repro", "--quiet")
    run(repository, "git", "add", "--all")
    run(repository, "git", "commit", "--quiet", "--message", f"lr {lr}, epochs {epochs}")


@pytest.mark.slow
def test_a_merge_stops_at_what_the_graph_wrote_and_its_next_run_settles_it(repository: Path, run: Run) -> None:
    run(repository, "git", "switch", "--quiet", "--create", "other")
    commit_run(repository, run, lr=2, epochs=1)
    run(repository, "git", "switch", "--quiet", "main")
    commit_run(repository, run, lr=1, epochs=3)

    merge = run(repository, "git", "merge", "other", check=False)
    assert merge.returncode == 1
    conflicts = run(repository, "git", "diff", "--name-only", "--diff-filter=U").stdout.split()
    assert conflicts == ["dvc.lock", "reports/metrics.json"]  # and not params.yaml: people's settings merge as ever
    lock = yaml.safe_load((repository / "dvc.lock").read_text(encoding="utf-8"))  # no conflict markers
    assert lock["stages"]["train"]["params"]["params.yaml"] == {"lr": 1, "epochs": 3}

    run(repository, "dvc", "repro", "--quiet")
    run(repository, "git", "add", "dvc.lock", "reports")
    run(repository, "git", "commit", "--quiet", "--message", "Merge")
    assert json.loads((repository / "reports" / "metrics.json").read_text(encoding="utf-8")) == {"lr": 2, "epochs": 3}
    assert run(repository, "dvc", "status", "--json").stdout.strip() == "{}"
    assert not run(repository, "git", "status", "--porcelain").stdout
