"""A sweep over the whole graph, killed in the midst of two trainings and gone on with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL = {"rendered_tracks": 4, "rendered_frames": 2, "image_size": 16, "width": 8, "threads": 1, "batch_size": 32}
PATIENCE = 900  # seconds for two trials on a busy machine

pytestmark = pytest.mark.long


@pytest.fixture
def repository(committed_copy: Path, run: Run) -> Path:
    text = (committed_copy / "params.yaml").read_text(encoding="utf-8")
    for key, value in SMALL.items():
        text = re.sub(rf"^{key}: \S+", f"{key}: {value}", text, flags=re.MULTILINE)
    (committed_copy / "params.yaml").write_text(text, encoding="utf-8")
    run(committed_copy, "dvc", "repro", "--quiet", "prepare")
    run(committed_copy, "git", "commit", "--quiet", "--all", "--message", "A small set")
    return committed_copy


def test_sweep_over_the_graph_survives_kill_and_its_best_is_applied(repository: Path, run: Run, tmp_path: Path) -> None:
    own_store = {"MLFLOW_TRACKING_URI": ""}
    work = repository / ".dvc/tmp/sweeps/signs"
    command = ["waymark", "sweep", "signs", "-S", "lr=0.05,0.1", "-S", "epochs=40", "-j", "2", "--no-prune"]
    environment = os.environ | own_store | {"HOME": str(tmp_path), "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    process = subprocess.Popen(command, cwd=repository, env=environment)
    deadline = time.monotonic() + PATIENCE
    while len(list(work.glob("*.jsonl"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()

    run(repository, *command[:3], "-j", "2", **own_store)
    assert run(repository, "git", "status", "--porcelain").stdout == ""
    assert [path.name for path in work.iterdir()] == ["lock"]
    revisions = json.loads(run(repository, "dvc", "exp", "show", "--json").stdout)
    (head,) = (revision for revision in revisions if revision["rev"] != "workspace")
    accuracy = {
        each["name"]: each["revs"][0]["data"]["metrics"]["reports/export.json"]["data"]["val"]["accuracy"]
        for each in head["experiments"]
    }
    assert sorted(accuracy) == ["signs-00", "signs-01"]

    best = run(repository, "waymark", "sweep", "signs", "--best").stdout.strip()
    assert accuracy[best] == max(accuracy.values())
    run(repository, "dvc", "exp", "apply", best)
    assert json.loads((repository / "reports/export.json").read_text())["val"]["accuracy"] == accuracy[best]

    client = MlflowClient(f"sqlite:///{repository / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("waymark-rendered")
    assert experiment is not None
    known = client.search_runs([experiment.experiment_id])
    (parent,) = [each for each in known if "waymark.sweep" in each.data.tags]
    assert (parent.info.run_name, parent.info.status, parent.data.tags["waymark.best"]) == ("signs", "FINISHED", best)
    assert {each.data.tags["mlflow.parentRunId"] for each in known if each != parent} == {parent.info.run_id}
    complete = [each for each in known if "waymark.model_version" in each.data.tags]
    assert sorted(str(each.info.run_name) for each in complete) == ["signs-00", "signs-01"]
    # FINISHED is a training that was over when its trial was ended, and began anew.
    assert {each.info.status for each in known if each not in (parent, *complete)} <= {"KILLED", "FINISHED"}
    listed = json.loads(run(repository, "waymark", "runs", "--format", "json", **own_store).stdout)
    assert {row["experiment"]: bool(row["run"]) for row in listed if row["kind"] == "experiment"} == {
        "signs-00": True,
        "signs-01": True,
    }
