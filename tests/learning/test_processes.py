"""Two processes that learn as one see the same samples and come to the same loss (R9); only the first one writes."""

import csv
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from tests.learning.conftest import CLASSES, prepare_noise
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from waymark import contract, params, paths
from waymark.learning import network, processes, synchronised, training
from waymark.learning.data import Images
from waymark.params import Params

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "width": 8,
    "epochs": 2,
    "batch_size": 16,
    "optimizer": "sgd",  # Muon multiplies its matrices in bf16, which makes more of a last bit than two can agree to
    "lr": 0.1,
    "threads": 1,
    "seed": 5,
    "precision": "32-true",
}

forked = pytest.mark.skipif(torch.cuda.is_available(), reason="a process that has used CUDA cannot fork")


@pytest.fixture(autouse=True)
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared train and val splits of three classes of noise at 16 px; 4 × 16 and 1 of val, which do not go round."""
    monkeypatch.chdir(tmp_path)
    prepare_noise(train=48, val=65)


def settings(**changed: object) -> Params:
    return params.load(ROOT / paths.PARAMS).model_copy(update=SMALL | changed)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_two_processes(task: Callable[[int], None]) -> None:
    """Run `task` with ranks 0 and 1 in forks of this process, which need import nothing."""
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "NODE_RANK": "0"}

    def fork(rank: int) -> None:
        os.environ.update(environment | {"LOCAL_RANK": str(rank), "RANK": str(rank)})
        torch.set_num_threads(1)
        task(rank)

    forks = [multiprocessing.get_context("fork").Process(target=fork, args=(rank,)) for rank in (0, 1)]
    for process in forks:
        process.start()
    for process in forks:
        process.join(timeout=240)
    codes = [process.exitcode for process in forks]
    for process in forks:
        process.kill()
    assert codes == [0, 0]


class Network(nn.Module):
    def __init__(self) -> None:
        from timm.layers.norm_act import BatchNormAct2d  # after waymark.learning, which makes torchvision importable

        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.plain, self.act = nn.BatchNorm2d(4), BatchNormAct2d(4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.act(self.plain(self.first(x))).mean(dim=(2, 3)))
        return logits


def learned(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Gradients and buffers after one step."""
    nn.functional.cross_entropy(model(images), labels).backward()
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    gradients = {name: p.grad for name, p in inner.named_parameters() if p.grad is not None}
    return gradients | dict(inner.named_buffers())


@forked
def test_two_shares_of_a_batch_give_the_gradients_and_statistics_of_the_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, images, labels = Network(), 5 + torch.randn(8, 3, 6, 6), torch.arange(8) % 2
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    whole = learned(model, images, labels)

    def share(rank: int) -> None:
        dist.init_process_group("gloo", rank=rank, world_size=2)
        model.load_state_dict(state)
        model.zero_grad()
        synchronised.synchronise(model, cuda=False)
        torch.save(learned(DistributedDataParallel(model), images[rank::2], labels[rank::2]), tmp_path / f"{rank}.pt")

    in_two_processes(share)
    for rank in (0, 1):
        part = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert part.keys() == whole.keys()
        for name, tensor in whole.items():
            torch.testing.assert_close(part[name], tensor, rtol=1e-5, atol=1e-6, msg=name)


def test_synchronised_networks_keep_their_names_answers_and_what_is_frozen() -> None:
    model, images = Network().eval(), torch.randn(2, 3, 6, 6)
    names, before = list(model.state_dict()), model(images)
    for cuda in (True, False):
        again = Network().eval()
        again.load_state_dict(model.state_dict())
        synchronised.synchronise(again, cuda=cuda)
        assert list(again.state_dict()) == names
        assert not again.plain.training
        assert torch.equal(again(images), before)


class Recorded(Images):
    """Notes the indices of each batch that it gathers."""

    def __init__(self, split: str) -> None:
        super().__init__(paths.images(split), paths.rows(split))
        self.gathered: list[list[int]] = []

    def pictures(self, indices: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        self.gathered.append(indices.tolist())
        return super().pictures(indices)


def fitted(settings: Params) -> tuple[dict[str, Any], dict[str, Tensor]]:
    train, val = Recorded("train"), Recorded("val")
    model, history = training.fit_on(settings, contract.read(paths.PREPARED_CONTRACT), train, val)
    return {"history": history, "train": train.gathered, "val": val.gathered}, model.state_dict()


@forked
@pytest.mark.slow
def test_two_processes_see_the_same_samples_and_come_to_the_same_loss_and_weights(tmp_path: Path) -> None:  # R9
    # Later steps magnify last bits, the more the higher the learning rate.
    small = settings(lr=0.01)
    alone, weights = fitted(small)

    def together(rank: int) -> None:
        facts, state = fitted(small.model_copy(update={"devices": 2}))
        (tmp_path / f"{rank}.json").write_text(json.dumps(facts))
        torch.save(state, tmp_path / f"{rank}.pt")

    in_two_processes(together)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["history"] == second["history"]
    for split in ("train", "val"):
        steps = [sorted(a + b) for a, b in zip(first[split], second[split], strict=True)]
        assert steps == [sorted(batch) for batch in regrouped(alone[split], steps)]
    for mine, ours in zip(alone["history"], first["history"], strict=True):
        assert ours == pytest.approx(mine, abs=1e-5)
    state = torch.load(tmp_path / "0.pt", weights_only=True)
    for name, tensor in weights.items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def regrouped(alone: list[list[int]], steps: list[list[int]]) -> list[list[int]]:
    """The batches of one process, the last of val joined with the one before it as two processes do."""
    joined: list[list[int]] = []
    for batch in alone:
        if joined and len(joined[len(joined) - 1]) < len(steps[len(joined) - 1]):
            joined[-1] = joined[-1] + batch
        else:
            joined.append(batch)
    return joined


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"LOCAL_RANK": "1"}, False),
        ({"NODE_RANK": "1"}, False),
    ],
)
def test_first_process_is_the_first_of_the_first_machine(
    environment: dict[str, str], first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in processes.RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.first() is first


def written_params(**changed: object) -> None:
    import yaml

    values = yaml.safe_load((ROOT / paths.PARAMS).read_text(encoding="utf-8")) | SMALL | changed
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def started() -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "waymark.stages.train"]
    environment = {name: value for name, value in os.environ.items() if name not in (*processes.RANKS, "WORLD_SIZE")}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.long
def test_stage_in_two_processes_writes_and_reports_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from waymark.tracking import address, runs

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'own.db'}")
    histories, told = [], []
    for devices in (1, 2):
        written_params(devices=devices, lr=0.01)
        process = started()
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr
        told.append([line.split(":")[0] for line in stderr.splitlines() if line.startswith("epoch ")])
        with paths.HISTORY.open(encoding="utf-8") as file:
            histories.append([{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)])
        assert load_file(paths.WEIGHTS)
        assert "Traceback" not in stderr
    assert told == [["epoch 1 of 2", "epoch 2 of 2"]] * 2
    for mine, ours in zip(*histories, strict=True):
        assert ours == pytest.approx(mine, abs=1e-5)
    assert [run.info.status for run in runs.known(address.connect(), "rendered")] == ["FINISHED", "FINISHED"]


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(child) for child in listed.split()]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_end_of_the_first_process_ends_the_second(number: signal.Signals) -> None:
    written_params(devices=2, epochs=1000)
    process = started()
    assert process.stderr is not None
    while not process.stderr.readline().startswith("epoch 1 "):
        assert process.poll() is None
    (second,) = children(process.pid)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{second}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{second}").exists()
    if number == signal.SIGTERM:
        assert "Traceback" not in stderr
        assert stderr.splitlines()[-1].startswith("stopped by SIGTERM; the next run goes on after ")
        assert paths.CHECKPOINT.is_file()


@pytest.mark.long
def test_training_in_two_processes_that_comes_apart_is_told_once() -> None:
    state = network.build("sign_resnet", len(CLASSES), 8).state_dict()
    state["head.2.bias"].fill_(float("inf"))
    save_file(state, "endless.safetensors")
    written_params(devices=2, weights="endless.safetensors")
    process = started()
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 1
    assert stderr.count("training came apart in epoch 1") == stderr.count("error: ") == 1
