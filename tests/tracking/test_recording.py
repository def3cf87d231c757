"""One run for each outcome: what it holds, what it is known by, and that nothing is told twice."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.onnx
import numpy as np
import pytest
import yaml

from waymark import contract, paths
from waymark.serving import model
from waymark.tracking import address, identity, live, recording, runs
from waymark.tracking.address import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from tests.tracking.conftest import Relay, WriteOutcome

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside git, with a space in its path."""
    workspace = tmp_path / "my signs"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.com")
    return workspace


@pytest.fixture
def client() -> "MlflowClient":
    return address.connect()


def git(*command: str) -> str:
    done = subprocess.run(["git", *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def own_tags(run: "Run") -> dict[str, str]:
    return {
        key.removeprefix("waymark."): value
        for key, value in run.data.tags.items()
        if key.startswith("waymark.") and not key.startswith("waymark.machine.")
    }


def learned(dataset: str) -> str:
    """What a training of the model of `write_outcome` leaves in MLflow; the run's id."""
    weights = contract.read(paths.CONTRACT).weights_sha256
    with live.training(dataset) as curves:
        curves.add({"epoch": 1, "train_loss": 2.5, "val_loss": 3.5, "lr": 0.1})
        curves.add({"epoch": 2, "train_loss": 1.25, "val_loss": 1.5, "lr": 0.0})
        curves.learned(weights)
    return str(runs.known(address.connect(), dataset)[0].info.run_id)


def points(client: "MlflowClient", run: "Run", key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


def test_run_holds_parameters_metrics_curves_and_what_it_is_known_by(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(workspace, "held", params={"source": "/home/ann/signs.zip"})
    run, added = recording.record(client, Path())
    assert added
    assert run.info.status == "FINISHED"
    assert run.data.params == {"dataset": "held", "source": "signs.zip", "lr": "0.1", "seed": "0"}
    assert run.data.metrics == {
        "test/images": 40,
        "test/accuracy": 0.975,
        "test/expected_calibration_error": 0.01,
        "test/coverage": 0.9,
        "test/min_class_recall": 0.8,
        "val/images": 10,
        "val/accuracy": 0.9,
        "model/parameters": 99,
        "model/onnx_bytes": paths.ONNX.stat().st_size,
        "split/grouped.images.train": 100,
        "split/grouped.near_duplicates_across_splits": 3,
        "train_loss": 1.25,
        "val_loss": 1.5,
    }
    assert points(client, run, "val_loss") == [(1, 3.5), (2, 1.5)]
    completed = contract.read(paths.CONTRACT)
    assert own_tags(run) == {
        "dataset": "held",
        "recorded": "from files",
        "git_commit": "",
        "git_changed": "",
        "dvc_lock_sha256": identity.lock_sha256(Path("dvc.lock").read_text()),
        "dvc_experiment": "",
        "outcome_sha256": identity.outcome_of_files(Path()),
        "manifest_sha256": "6" * 64,
        "split_sha256": "5" * 64,
        "weights_sha256": completed.weights_sha256,
        "onnx_sha256": completed.onnx_sha256,
        "model_version": model.load(Path(), threads=1).version,
    }
    assert run.data.tags["waymark.machine.cores"] == str(os.cpu_count())
    assert run.data.tags["mlflow.note.content"] == "# Model card\n\n1 wrong.\n"


def test_files_of_a_run_are_a_folder_that_can_be_served_and_a_model_that_mlflow_loads(
    mlflow_server: str,
    workspace: Path,
    write_outcome: "WriteOutcome",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    write_outcome(workspace, "served")
    client = address.connect()
    run, _ = recording.record(client, Path())
    folder = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    served = model.load(folder, threads=1)
    assert served.version == run.data.tags["waymark.model_version"]
    assert len(served.pictures) == 3
    assert served.lineage["parameters"]["lr"] == 0.1
    for path in (paths.ONNX, paths.PREDICTIONS, paths.PLOTS / "confusion.csv", paths.PARAMS, identity.LOCK):
        assert (folder / path).read_bytes() == path.read_bytes()
    described = yaml.safe_load((folder / "models" / "MLmodel").read_text())
    assert set(described["flavors"]) == {"onnx", "python_function"}
    assert sorted(path.name for path in (folder / "models").iterdir()) == [
        "MLmodel",
        "conda.yaml",
        "contract.json",
        "model.onnx",
        "python_env.yaml",
        "requirements.txt",
    ]

    loaded = mlflow.onnx.load_model(f"runs:/{run.info.run_id}/models")
    assert loaded.SerializeToString() == paths.ONNX.read_bytes()


def test_outcome_that_is_known_is_not_recorded_again(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(workspace, "again")
    first, _ = recording.record(client, Path())
    write_outcome(workspace, "again", seed=1)
    second, added = recording.record(client, Path())
    assert added
    write_outcome(workspace, "again")
    same, added = recording.record(client, Path())
    assert (same.info.run_id, added) == (first.info.run_id, False)
    assert {run.info.run_id for run in runs.known(client, "again")} == {first.info.run_id, second.info.run_id}


def test_run_that_training_began_is_completed_and_keeps_its_curves(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(workspace, "completed")
    begun = learned("completed")
    run, added = recording.record(client, Path())
    assert (run.info.run_id, added) == (begun, True)
    assert (own_tags(run)["recorded"], run.data.metrics["test/accuracy"]) == ("live", 0.975)
    assert points(client, run, "val_loss") == [(1, 3.5), (2, 1.5)]

    write_outcome(workspace, "completed", wrong=2)  # the same weights, judged otherwise
    other, added = recording.record(client, Path())
    assert (other.info.run_id != begun, added) == (True, True)
    assert own_tags(other)["recorded"] == "from files"


def test_experiment_completes_its_own_training_where_two_learned_the_same(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome", monkeypatch: pytest.MonkeyPatch
) -> None:
    write_outcome(workspace, "twins")
    trainings = {}
    for name in ("first", "second"):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        trainings[name] = learned("twins")
    for name, params in (("first", {"lr": 0.1}), ("second", {"lr": 0.2})):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        write_outcome(workspace, "twins", params=params)
        run, _ = recording.record(client, Path())
        assert (run.info.run_id, run.info.run_name) == (trainings[name], name)
        assert own_tags(run)["dvc_experiment"] == name


@pytest.mark.parametrize("recorded", [pytest.param("live", marks=pytest.mark.long), "from files"])
def test_recording_that_broke_off_is_taken_up_by_the_next(
    recorded: str,
    workspace: Path,
    write_outcome: "WriteOutcome",
    relay: "Relay",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = f"broken-off {recorded}"
    write_outcome(workspace, dataset)
    if recorded == "live":
        learned(dataset)
    client = address.connect()
    log_artifacts = client.log_artifacts

    def die_midway(*arguments: Any) -> None:
        log_artifacts(*arguments)
        relay.kill()

    monkeypatch.setattr(client, "log_artifacts", die_midway)
    with pytest.raises(TrackingError, match=r"cannot be reached \(Connection refused\)"):
        recording.record(client, Path())
    relay.start_again()
    client = address.connect()
    (begun,) = runs.known(client, dataset)
    assert not runs.complete(begun)
    run, added = recording.record(client, Path())
    assert (run.info.run_id, added, runs.complete(run)) == (begun.info.run_id, True, True)
    assert own_tags(run)["recorded"] == recorded
    assert points(client, run, "val_loss") == [(1, 3.5), (2, 1.5)]
    assert len(runs.known(client, dataset)) == 1
    assert capsys.readouterr().out == ""


def test_files_that_dvc_lock_does_not_speak_of_are_recorded_without_its_hash(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(workspace, "unlocked", lock=False)
    run, _ = recording.record(client, Path())
    assert own_tags(run)["dvc_lock_sha256"] == ""
    assert run.data.params == {}
    assert recording.record(client, Path())[1] is False
    write_outcome(workspace, "unlocked", seed=1, lock=False)
    write_outcome(workspace.parent / "other", "unlocked")
    (workspace / "dvc.lock").write_bytes((workspace.parent / "other" / "dvc.lock").read_bytes())
    assert own_tags(recording.record(client, Path())[0])["dvc_lock_sha256"] == ""


def test_commit_is_named_and_whether_the_code_was_changed_since(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(workspace, "committed")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Start")
    git("checkout", "--quiet", "--detach")
    write_outcome(workspace, "committed", wrong=2)  # the graph wrote dvc.lock and reports anew
    git("checkout", "--quiet", "params.yaml")
    run, _ = recording.record(client, Path())
    tags = own_tags(run)
    assert (tags["git_commit"], tags["git_changed"]) == (git("rev-parse", "HEAD"), "false")
    write_outcome(workspace, "committed", wrong=3)
    with paths.PARAMS.open("a") as file:
        file.write("# tried\n")
    assert own_tags(recording.record(client, Path())[0])["git_changed"] == "true"


def test_several_parts_of_a_test_stand_beside_each_other(
    client: "MlflowClient", workspace: Path, write_outcome: "WriteOutcome"
) -> None:
    write_outcome(workspace, "parts", lock=False)
    document = {"accuracy": 0.9, "own": {"accuracy": 0.9}, "other signer (β)": {"accuracy": 0.5}}
    paths.METRICS.write_text(json.dumps(document))
    metrics = recording.record(client, Path())[0].data.metrics
    assert metrics["test/accuracy"] == metrics["test/own.accuracy"] == 0.9
    assert metrics["test/other signer _β_.accuracy"] == 0.5


RECORD = """
import sys
from pathlib import Path
from waymark.tracking import address, recording
print(recording.record(address.connect(), Path())[0].info.run_id)
"""


@pytest.mark.long
def test_four_experiments_at_once_are_all_recorded_in_a_database_that_did_not_exist(
    tmp_path: Path, write_outcome: "WriteOutcome", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    folders = [write_outcome(tmp_path / str(seed), "at-once", seed=seed) for seed in range(4)]
    processes = [
        subprocess.Popen([sys.executable, "-c", RECORD], cwd=folder, stdout=subprocess.PIPE, text=True)
        for folder in folders
    ]
    printed = {process.communicate(timeout=300)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    recorded = runs.known(address.connect(), "at-once")
    assert {run.info.run_id for run in recorded} == printed
    assert all(map(runs.complete, recorded))
    assert np.unique([run.data.tags["waymark.model_version"] for run in recorded]).size == 4
