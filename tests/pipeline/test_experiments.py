"""A day with experiments, from one shell, as the README tells it: run, queue, compare, apply, promote."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL = {
    "rendered_tracks": 6,
    "rendered_frames": 6,
    "image_size": 24,
    "width": 16,
    "epochs": 5,
    "threads": 1,
    "corruption_images": 8,
    "batch_size": 16,
}
GATES = {"gate_min_accuracy": 0.1, "gate_min_class_recall": 0.0, "gate_max_ece": 1.0}  # what so small a set can reach
PATIENCE = 600  # seconds for three queued experiments

pytestmark = pytest.mark.long  # five small trainings; .ci/run calls this file by name


def settings(repository: Path, **changed: object) -> None:
    """Change lines of params.yaml and nothing else of it."""
    text = (repository / "params.yaml").read_text(encoding="utf-8")
    for key, value in changed.items():
        text = re.sub(rf"^{key}: \S+", f"{key}: {value}", text, flags=re.MULTILINE)
    (repository / "params.yaml").write_text(text, encoding="utf-8")


def experiments(repository: Path, run: Run) -> dict[str, dict[str, Any]]:
    """What `dvc exp show` knows of each experiment of the last commit, by name."""
    revisions = json.loads(run(repository, "dvc", "exp", "show", "--json").stdout)
    (head,) = (revision for revision in revisions if revision["rev"] != "workspace")
    return {one["name"]: one["revs"][0]["data"] for one in head["experiments"] or []}


def test_experiments_are_run_queued_compared_applied_and_promoted(committed_copy: Path, run: Run) -> None:
    repository, own_store = committed_copy, {"MLFLOW_TRACKING_URI": ""}
    settings(repository, **SMALL, **GATES)
    run(repository, "dvc", "repro", "--quiet", **own_store)
    run(repository, "git", "commit", "--quiet", "--all", "--message", "A small set")

    run(repository, "dvc", "exp", "run", "--quiet", "--name", "first", "-S", "lr=0.02", **own_store)
    run(repository, "dvc", "exp", "run", "--queue", "-S", "lr=0.01,0.02,0.04", **own_store)
    run(repository, "dvc", "queue", "start", **own_store)
    deadline = time.monotonic() + PATIENCE
    while "Running" in (status := run(repository, "dvc", "queue", "status").stdout) or "Queued" in status:
        assert time.monotonic() < deadline, status
        time.sleep(2)
    assert "Failed" not in status

    known = experiments(repository, run)
    rates = {name: data["params"]["params.yaml"]["data"]["lr"] for name, data in known.items()}
    assert sorted(rates.values()) == [0.01, 0.02, 0.02, 0.04]
    accuracies = {name: data["metrics"]["reports/metrics.json"]["data"]["accuracy"] for name, data in known.items()}
    listed = {
        row["experiment"]: row
        for row in json.loads(run(repository, "waymark", "runs", "--format", "json", **own_store).stdout)
    }
    for name, accuracy in accuracies.items():
        assert listed[name]["accuracy"] == accuracy
        assert listed[name]["run"]  # the queue's runs are in this repository's store, not in their temporary folders
    assert len({listed[name]["run"] for name in known}) >= 3  # the two with lr=0.02 came to the same result

    best = max(accuracies, key=lambda name: (accuracies[name], name))
    run(repository, "dvc", "exp", "apply", best)
    assert yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))["lr"] == rates[best]
    promoted = run(repository, "waymark", "promote", **own_store)
    assert "champion" in promoted.stdout

    again = run(repository, "waymark", "promote", **own_store)
    assert "already" in again.stdout
    worst = min(accuracies, key=lambda name: (accuracies[name], name))
    refused = run(repository, "waymark", "promote", "--run", worst, check=False, **own_store)
    assert refused.returncode == 3
