"""The stage `track`: what it says, and that an MLflow that is away fails nothing (K10)."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waymark import params, paths
from waymark.errors import WaymarkError
from waymark.params import Params
from waymark.stages import track
from waymark.tracking import address, runs

if TYPE_CHECKING:
    from tests.tracking.conftest import Relay, WriteOutcome

ROOT = Path(__file__).resolve().parents[2]
LATER = "`dvc repro --force --single-item track` records the results later"

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(
    tmp_path: Path, write_outcome: "WriteOutcome", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Params:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    caplog.set_level(logging.INFO, "waymark")
    caplog.set_level(logging.INFO, "mlflow")
    write_outcome(tmp_path, "tracked")
    return params.load(ROOT / paths.PARAMS)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_new_run_and_one_that_was_there_are_said(
    workspace: Params, relay: "Relay", caplog: pytest.LogCaptureFixture
) -> None:
    for word in ("is", "was already"):
        track.run(workspace)
        (run,) = runs.known(address.connect(), "tracked")
        where = f"run {run.info.run_id[:8]} ({run.info.run_name}) {word} in MLflow at {relay.address}"
        assert said(caplog) == [where]
        caplog.clear()


@pytest.mark.parametrize("hangs", [False, True])
def test_mlflow_that_is_away_costs_one_sentence_and_some_seconds(
    hangs: bool,
    workspace: Params,
    relay: "Relay",
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", relay.address.replace("//", "//ann:geheim@"))
    relay.hangs = hangs
    if not hangs:
        relay.kill()
    began = time.monotonic()
    track.run(workspace)
    assert time.monotonic() - began < 8
    why = "does not answer" if hangs else "cannot be reached (Connection refused)"
    assert said(caplog) == [f"warning: MLflow at {relay.address} {why}; {LATER}"]


def test_workspace_without_a_model_is_an_error(workspace: Params) -> None:
    paths.CONTRACT.unlink()
    with pytest.raises(WaymarkError, match=r"models/contract\.json: cannot be read"):
        track.run(workspace)


@pytest.mark.parametrize("path", [paths.METRICS, paths.HISTORY])
def test_damaged_report_is_an_error_and_not_laid_at_mlflows_door(workspace: Params, path: Path) -> None:
    path.write_text("epoch,val_loss\n1,{")
    with pytest.raises(WaymarkError, match=rf"^{path}: cannot be read \(.*\); `dvc repro` makes it anew$"):
        track.run(workspace)
