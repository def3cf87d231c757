"""A sweep's run in a real MLflow store, the trials' runs below it, and an MLflow that is away."""

import json
import logging
from pathlib import Path

import pytest

from waymark.sweeping.parent_run import ParentRun
from waymark.tracking import address, listing, live, runs

DATASET = "swept"  # of which no other test has runs

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, tracking_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the session's database, which has MLflow's tables once a test has asked for it."""
    address.experiment(address.connect(), DATASET)
    kept = Path(tracking_address.removeprefix("sqlite:///"))
    (tmp_path / "mlflow.db").write_bytes(kept.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


def train(experiment: str, parent: str, epochs: Path, patch: pytest.MonkeyPatch, end: bool = True) -> None:
    """What the stage `train` does of it, in the environment that a sweep gives it."""
    with patch.context() as own:
        own.setenv("DVC_EXP_NAME", experiment)
        own.setenv(address.PARENT, parent)
        own.setenv(live.EPOCHS, str(epochs))
        curves = live.Curves(DATASET)
        for epoch in (1, 2):
            curves.add({"epoch": epoch, "val_accuracy": epoch / 4})
        if end:
            curves.end("FINISHED")


def test_trials_stand_below_the_sweep_which_is_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = ParentRun("signs", DATASET, "waymark sweep signs", "")
    train("signs-00", parent.run_id, tmp_path / "epochs", monkeypatch)
    train("signs-01", parent.run_id, tmp_path / "epochs", monkeypatch, end=False)
    train("other", "", tmp_path / "epochs", monkeypatch, end=False)
    parent.close("signs-00")
    parent.close("signs-01")
    parent.best("accuracy", 0.5, 1)
    parent.end("KILLED", "signs-00")
    again = ParentRun("signs", DATASET, "waymark sweep signs", parent.run_id)
    assert again.run_id == parent.run_id

    known = {run.info.run_name: run for run in runs.known(address.connect(), DATASET)}
    below = {name: run.data.tags.get("mlflow.parentRunId") for name, run in known.items()}
    assert below == {"signs": None, "signs-00": parent.run_id, "signs-01": parent.run_id, "other": None}
    status = {name: run.info.status for name, run in known.items()}
    assert status == {"signs": "RUNNING", "signs-00": "FINISHED", "signs-01": "KILLED", "other": "RUNNING"}
    assert known["signs"].data.metrics == {"best_accuracy": 0.5}
    assert known["signs"].data.tags["mlflow.note.content"] == "waymark sweep signs"
    assert sorted(row["run_name"] for row in listed()) == ["other", "signs-00", "signs-01"]


def listed() -> list[dict[str, str]]:
    root = Path(__file__).resolve().parents[2]
    rows: list[dict[str, str]] = json.loads(listing.show(root, DATASET, "json", commits=1))
    return [row for row in rows if row["kind"] == "run" and row["dataset"] == DATASET]


def test_epochs_are_told_line_by_line_also_without_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    train("signs-00", "", tmp_path / "epochs", monkeypatch)
    lines = (tmp_path / "epochs").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 1, "val_accuracy": 0.25},
        {"epoch": 2, "val_accuracy": 0.5},
    ]
    train("signs-00", "", tmp_path / "no folder" / "epochs", monkeypatch)  # which is no reason to stop learning


def test_mlflow_that_is_away_costs_one_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    parent = ParentRun("signs", DATASET, "waymark sweep signs", "")
    parent.best("accuracy", 0.5, 1)
    parent.close("signs-00")
    parent.end("FINISHED", "signs-00")
    assert parent.run_id == ""
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "warning: MLflow at http://127.0.0.1:1 cannot be reached (Connection refused); the sweep goes on without its "
        "run there"
    ]
