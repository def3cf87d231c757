"""Training draws its curves in MLflow, and is not held up, changed or lost by an MLflow that goes away (K10)."""

import csv
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from waymark import contract, params, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import training, weights
from waymark.params import Params
from waymark.stages import train
from waymark.tracking import address, live, runs

if TYPE_CHECKING:
    from mlflow.entities import Run
    from tests.tracking.conftest import Relay

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("stop", "yield")
SMALL = {"dataset": "gtsrb", "width": 8, "epochs": 3, "batch_size": 8, "threads": 1, "precision": "32-true"}
LATER = "training goes on without it, `dvc repro --force --single-item track` records the results later"

pytestmark = pytest.mark.slow


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A folder with prepared train and val splits of two classes of noise at 16 px."""
    monkeypatch.chdir(tmp_path)
    paths.PREPARED.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4)):
        np.save(paths.images(split), generator.integers(0, 256, (count, 16, 16, 3)).astype(np.uint8))
        pd.DataFrame({"label": np.arange(count) % 2}).to_parquet(paths.rows(split), index=False)
    half = (0.5, 0.5, 0.5)
    Contract("gtsrb", CLASSES, image_size=16, crop_margin=0.0, mean=half, std=half).write(paths.PREPARED_CONTRACT)
    return params.load(ROOT / paths.PARAMS).model_copy(update=SMALL)


def trained(small: Params) -> tuple[str, bytes]:
    train.run(small)
    return weights.sha256(paths.WEIGHTS), paths.HISTORY.read_bytes()


def latest() -> "Run":
    return runs.known(address.connect(), "gtsrb")[0]


def after_first_epoch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    add = live.Curves.add

    def then_act(curves: live.Curves, epoch: Mapping[str, float]) -> None:
        add(curves, epoch)
        if epoch["epoch"] == 1:
            act()

    monkeypatch.setattr(live.Curves, "add", then_act)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_curves_stand_in_mlflow_as_in_the_history_and_the_run_names_the_weights(
    small: Params, relay: "Relay", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "gentler")
    seen: list[str] = []
    after_first_epoch(monkeypatch, lambda: seen.append(latest().info.status))
    sha256, _ = trained(small)
    run, client = latest(), address.connect()
    assert seen == ["RUNNING"]
    assert (run.info.run_name, run.info.status) == ("gentler", "FINISHED")
    tags = {key: value for key, value in run.data.tags.items() if key.startswith("waymark.")}
    named = {"waymark.dataset": "gtsrb", "waymark.dvc_experiment": "gentler", "waymark.weights_sha256": sha256}
    assert tags == named
    with paths.HISTORY.open(encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        drawn = [(point.step, round(point.value, 6)) for point in client.get_metric_history(run.info.run_id, key)]
        assert drawn == [(int(row["epoch"]), float(row[key])) for row in history]
    rates = [point.value for point in client.get_metric_history(run.info.run_id, "lr")]
    assert len(rates) == 3
    assert rates[0] > rates[1] > rates[2] > 0


def test_server_that_dies_in_training_costs_one_sentence_and_no_bit_of_the_result(
    small: Params, relay: "Relay", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracked = trained(small)
    after_first_epoch(monkeypatch, relay.kill)
    began = time.monotonic()
    assert trained(small) == tracked
    assert time.monotonic() - began < 10
    sentence = f"warning: MLflow at {relay.address} cannot be reached (Connection refused); {LATER}"
    assert warnings(caplog) == [sentence]
    untracked, history = training.fit(small, contract.read(paths.PREPARED_CONTRACT))  # as `waymark review` learns
    weights.write(untracked, paths.WEIGHTS, name=small.network, num_classes=2, width=small.width)
    train.write_history(history, paths.HISTORY)
    assert (weights.sha256(paths.WEIGHTS), paths.HISTORY.read_bytes()) == tracked
    assert warnings(caplog) == [sentence]


def test_server_that_stops_answering_in_training_is_asked_no_further(
    small: Params, relay: "Relay", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    after_first_epoch(monkeypatch, lambda: setattr(relay, "hangs", True))
    began = time.monotonic()
    trained(small)
    assert time.monotonic() - began < 10
    assert warnings(caplog) == [f"warning: MLflow at {relay.address} does not answer; {LATER}"]


@pytest.mark.parametrize("hangs", [False, True])
def test_server_that_is_away_from_the_start_costs_one_sentence(
    hangs: bool, relay: "Relay", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    relay.hangs = hangs
    if not hangs:
        relay.kill()
    with live.training("gtsrb") as curves:
        asked = relay.connections
        curves.add({"epoch": 1, "train_loss": 1.0})
        curves.learned("0" * 64)
    assert relay.connections == asked
    (said,) = warnings(caplog)
    assert said.endswith(LATER)


def test_training_that_fails_leaves_a_failed_run(small: Params) -> None:
    with pytest.raises(WaymarkError, match="training came apart"):
        train.run(small.model_copy(update={"lr": 1e30}))
    assert latest().info.status == "FAILED"


def test_training_that_is_interrupted_leaves_a_killed_run(small: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    after_first_epoch(monkeypatch, interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train.run(small)
    assert latest().info.status == "KILLED"
    assert not paths.WEIGHTS.exists()
