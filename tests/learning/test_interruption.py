"""A training that is interrupted, however and whenever, goes on to the bytes of one that was not (K1, K2, K3)."""

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save
from tests.learning.conftest import prepare_noise

from waymark import contract, params, paths
from waymark.errors import Stopped, WaymarkError
from waymark.learning import checkpoints, interruption, training, weights
from waymark.learning.checkpoints import Checkpoint
from waymark.params import Params
from waymark.stages import train
from waymark.tracking import address, runs

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"width": 8, "epochs": 3, "batch_size": 16, "threads": 1, "seed": 5, "precision": "32-true"}
BATCHES = 6  # of each epoch
NOWHERE = "nowhere://"  # MLflow is told apart from what is tested here


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A folder with prepared train and val splits of three classes of noise at 16 px."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    prepare_noise(train=100, val=30)
    return params.load(ROOT / paths.PARAMS).model_copy(update=SMALL)


def trained(small: Params) -> tuple[str, bytes]:
    train.run(small)
    assert not paths.CHECKPOINT.exists()
    return weights.sha256(paths.WEIGHTS), paths.HISTORY.read_bytes()


@contextmanager
def signalled(after: int, number: int = signal.SIGTERM) -> Iterator[None]:
    """Within the block, the process gets the signal when `after` batches have been learned from."""
    seen = 0

    def counted(keeper: interruption.Keeper, *arguments: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            os.kill(os.getpid(), number)
        plainly(keeper, *arguments)

    plainly = interruption.Keeper.on_train_batch_end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interruption.Keeper, "on_train_batch_end", counted)
        yield


def stopped(small: Params, after: int, number: int = signal.SIGTERM) -> Stopped:
    with signalled(after, number), pytest.raises(Stopped) as caught:
        train.run(small)
    return caught.value


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    return [message for message in said if NOWHERE not in message]


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", ["muon", *(pytest.param(name, marks=pytest.mark.long) for name in ("adamw", "sgd"))]
)
def test_training_stopped_anywhere_goes_on_to_the_same_bytes(small: Params, optimizer: str) -> None:
    small = small.model_copy(update={"optimizer": optimizer, "lr": 0.01})
    whole = trained(small)
    for after, where in (
        (2, "batch 2 of 6 in epoch 1 of 3"),
        (BATCHES, "epoch 1 of 3"),  # the judgement on val is short enough to be waited for
        (2 * BATCHES + 5, "batch 5 of 6 in epoch 3 of 3"),
    ):
        assert str(stopped(small, after)) == f"stopped by SIGTERM; the next run goes on after {where}"
        assert trained(small) == whole


@pytest.mark.long
def test_dropout_draws_the_same_in_a_training_that_goes_on(small: Params) -> None:
    small = small.model_copy(update={"network": "mobilenetv3_small_050", "epochs": 2})  # it drops a fifth out
    whole = trained(small)
    stopped(small, 4)
    assert trained(small) == whole


def test_stopped_thrice_it_goes_on_thrice(small: Params) -> None:
    whole = trained(small)
    assert stopped(small, 4, signal.SIGINT).code == 130
    assert stopped(small, 4).code == 143
    assert str(stopped(small, 4)).endswith("goes on after epoch 2 of 3")
    assert trained(small) == whole


def test_long_epoch_is_kept_on_the_way(small: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "EVERY", 0.0)
    after: list[str] = []
    monkeypatch.setattr(Checkpoint, "write", lambda _, state: after.append(state["after"]))
    trained(small)
    within = [f"batch {batch} of 6 in epoch {epoch} of 3" for epoch in (1, 2, 3) for batch in range(1, BATCHES)]
    assert after == [*within[:5], "epoch 1 of 3", *within[5:10], "epoch 2 of 3", *within[10:]]


def test_checkpoint_of_another_training_is_replaced(small: Params, caplog: pytest.LogCaptureFixture) -> None:
    stopped(small, 8)
    before = paths.CHECKPOINT.read_bytes()
    np.save(paths.images("val"), np.load(paths.images("val")) // 2)
    another = small.model_copy(update={"seed": 6})
    assert str(stopped(another, 2)).endswith("goes on after batch 2 of 6 in epoch 1 of 3")
    kinds = "parameters and data"
    sentence = f"warning: models/checkpoint: was left by a training with other {kinds}; training begins anew"
    assert warnings(caplog) == [sentence]
    assert paths.CHECKPOINT.read_bytes() != before
    assert Checkpoint(paths.CHECKPOINT, checkpoints.fingerprint(another)).state is not None


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("payload-ran"),)


def damaged(whole: bytes) -> dict[str, bytes]:
    """Files that are no checkpoint, by what is wrong with them."""
    digest = checkpoints.DIGEST
    torch.save({"state": Payload()}, "pickled")
    hostile = save({}, metadata={"waymark": '{"fingerprint": {}, "state": ' + "[" * 100_000})
    return {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "one byte flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "a pickle": pickle.dumps(Payload()),
        "torch's pickle": Path("pickled").read_bytes(),
        "a pickle with its digest": checkpoints.sealed(pickle.dumps(Payload())),
        "nested deep": checkpoints.sealed(hostile),
        "no header": checkpoints.sealed(whole[digest : digest + 4]),
    }


def test_damaged_or_hostile_checkpoint_is_one_sentence_and_a_start_from_the_beginning(
    small: Params, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(small, 8)
    for content in damaged(paths.CHECKPOINT.read_bytes()).values():
        caplog.clear()
        paths.CHECKPOINT.write_bytes(content)
        assert Checkpoint(paths.CHECKPOINT, {}).state is None
        (said,) = warnings(caplog)
        assert said.startswith("warning: models/checkpoint: is damaged (")
        assert said.endswith("); training begins anew")
        assert len(said) < 300
    assert not Path("payload-ran").exists()


def test_checkpoint_that_fits_another_network_is_one_sentence_and_a_start_from_the_beginning(
    small: Params, caplog: pytest.LogCaptureFixture
) -> None:
    whole = trained(small)
    stopped(small, 8)
    fingerprint, state = checkpoints.read(paths.CHECKPOINT)
    state["state_dict"]["network.features.0.weight"] = torch.zeros(3)
    assert Checkpoint(paths.CHECKPOINT, fingerprint).write(state)
    assert trained(small) == whole
    sentence = "warning: models/checkpoint: holds a state that does not fit this training; training begins anew"
    assert warnings(caplog) == [sentence]


def test_full_disk_costs_the_checkpoint_and_one_warning_not_the_training(
    small: Params, caplog: pytest.LogCaptureFixture
) -> None:
    whole = trained(small)
    prepared = contract.read(paths.PREPARED_CONTRACT)
    stopped(small, 2)
    before = paths.CHECKPOINT.read_bytes()
    checkpoint = Checkpoint(paths.CHECKPOINT, checkpoints.fingerprint(small))
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))  # bytes; a checkpoint has six times as many
    try:
        model, history = training.fit(small, prepared, checkpoint=checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    reason = "cannot be written (File too large); if this training is interrupted, it may begin anew"
    assert warnings(caplog) == [f"warning: models/checkpoint: {reason}"]
    assert paths.CHECKPOINT.read_bytes() == before
    assert [path.name for path in paths.CHECKPOINT.parent.iterdir()] == ["model.safetensors", "checkpoint"]
    weights.write(model, paths.WEIGHTS, name=small.network, num_classes=3, width=small.width)
    train.write_history(history, paths.HISTORY)
    assert (weights.sha256(paths.WEIGHTS), paths.HISTORY.read_bytes()) == whole


def test_two_trainings_do_not_take_each_other_s_files(small: Params) -> None:
    with checkpoints.alone(paths.CHECKPOINT.parent), pytest.raises(WaymarkError, match=r"^models: another training is"):
        train.run(small)
    trained(small)


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    image = torch.arange(48.0).view(1, 3, 4, 4)
    state: dict[Any, Any] = {
        "numbers": [1, 1.1, True, None, float("inf")],
        0: ("a tuple", {"half": torch.ones(3, dtype=torch.bfloat16)}),
        "shared": [image, image[0, 0]],
        "channels last": image.contiguous(memory_format=torch.channels_last),
    }
    (tmp_path / "checkpoint").write_bytes(checkpoints.pack({"code": "1"}, state))
    fingerprint, read = checkpoints.read(tmp_path / "checkpoint")
    again: dict[Any, Any] = read
    assert fingerprint == {"code": "1"}
    assert again["numbers"] == state["numbers"]
    assert again[0][0] == "a tuple"
    assert again[0][1]["half"].dtype == torch.bfloat16
    assert torch.equal(again["shared"][1], image[0, 0])
    assert again["channels last"].stride() == state["channels last"].stride()
    assert torch.equal(again["channels last"], image)


def test_fingerprint_holds_all_parameters_that_train_reads() -> None:
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(checkpoints.SETTINGS) == set(graph["train"]["params"])


def kill(times: int) -> dict[str, int]:
    script = Path(__file__).with_name("killed_training.py")
    command = [sys.executable, str(script), str(times), "11"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_bytes(small: Params) -> None:  # K1
    told = kill(2)
    assert told["same"] == 2


@pytest.mark.long
def test_training_killed_20_times_goes_on_to_the_same_bytes_20_times(small: Params) -> None:  # K1
    told = kill(20)
    assert told["same"] == 20
    assert told["went on"] >= 10
    assert told["killed while writing"] >= 5


def processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sigterm_ends_training_within_5_s_in_one_sentence_and_its_run_in_mlflow(  # K2
    small: Params, tracking_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_address)
    many = small.model_copy(update={"epochs": 1000})
    paths.PARAMS.write_text(yaml.safe_dump(many.model_dump()), encoding="utf-8")
    command = [sys.executable, "-m", "waymark.stages.train"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    assert process.stderr.readline().startswith("epoch 1 of 1000: ")
    before = processor_seconds(process.pid)  # a busy machine would stretch a clock's
    process.terminate()
    *_, last = process.stderr.read().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    assert used.ru_utime + used.ru_stime - before < 5
    assert os.waitstatus_to_exitcode(status) == 143
    assert last.startswith("stopped by SIGTERM; the next run goes on after ")
    whose, state = checkpoints.read(paths.CHECKPOINT)
    expected = checkpoints.fingerprint(many)
    assert {kind: whose[kind] for kind in ("parameters", "data")} == {k: expected[k] for k in ("parameters", "data")}
    assert state
    assert runs.known(address.connect(), many.dataset)[0].info.status == "KILLED"
