"""A real MLflow server on loopback that can go away, and what `dvc repro` leaves, of a few numbers each."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import requests
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from waymark import paths
from waymark.contract import Contract

PATIENCE = 120  # seconds for MLflow to start on a busy machine; on a quiet one it takes 4
CLASSES = ("stop", "yield", "bend")
SIZE = 16
WriteOutcome = Callable[..., Path]


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """`mlflow server` with an SQLite database and its artefacts in `folder`: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        f"{folder / 'kept'}",
    ]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=inherited | own, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.ConnectionError):
            if requests.get(f"{address}/health", timeout=PATIENCE).ok:
                return
        time.sleep(0.05)
    pytest.fail(f"mlflow server did not answer within {PATIENCE} s:\n{log.read_text()}")


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one server for all tests."""
    with running(tmp_path_factory.mktemp("server")) as (address, _):
        yield address


class Relay:
    """Stands before a server and can take it away: whoever connects is refused then, or is never answered."""

    def __init__(self, server: str) -> None:
        self._server = ("127.0.0.1", int(server.rpartition(":")[2]))
        self._open: list[socket.socket] = []
        self.hangs = False
        self.connections = 0  # that were accepted
        self.address = f"http://127.0.0.1:{self.listen(0)}"

    def listen(self, port: int) -> int:
        self._listening = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._listening.getsockname()[1])

    def start_again(self) -> None:
        """At the same address, after `kill`."""
        self.listen(int(self.address.rpartition(":")[2]))

    def _accept(self) -> None:
        with suppress(OSError):  # the socket was closed: nobody listens any more
            while True:
                client, _ = self._listening.accept()
                self.connections += 1
                self._open.append(client)
                if self.hangs:
                    continue
                server = socket.create_connection(self._server)
                self._open.append(server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self.hangs:
                    time.sleep(0.05)
                target.sendall(data)

    def kill(self) -> None:
        """As a server that was killed: connections break, and nobody listens."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def relay(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """The way to the server that MLFLOW_TRACKING_URI names, until the test takes it away."""
    relay = Relay(mlflow_server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", relay.address)
    yield relay
    relay.hangs = False
    with suppress(OSError):
        relay.kill()


@pytest.fixture(scope="session")
def write_outcome() -> WriteOutcome:
    return _write_outcome


def _write_outcome(
    root: Path,
    dataset: str,
    *,
    seed: int = 0,
    wrong: int = 1,
    images: int = 40,
    params: Mapping[str, Any] | None = None,
    lock: bool = True,
) -> Path:
    """What `dvc repro` leaves under `root`: a model that `seed` decides, of which `wrong` of `images` answers are so.

    dvc.lock, unless there shall be none, is true of the files; `root` itself comes back.
    """
    for path in (paths.ONNX, paths.CLASS_PICTURES, paths.METRICS, paths.PLOTS / "confusion.csv"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    onnx_sha256 = _write_onnx(root / paths.ONNX, seed)
    half = (0.5, 0.5, 0.5)
    weights_sha256 = hashlib.sha256(f"weights {dataset} {seed}".encode()).hexdigest()
    contract = Contract(dataset, CLASSES, SIZE, 0.1, half, half, split_sha256="5" * 64)
    contract.completed(temperature=1.0, weights_sha256=weights_sha256, onnx_sha256=onnx_sha256, threshold=0.5).write(
        root / paths.CONTRACT
    )
    Image.new("RGB", (SIZE, SIZE * len(CLASSES))).save(root / paths.CLASS_PICTURES)
    metrics = {"images": images, "accuracy": 1 - wrong / images, "expected_calibration_error": 0.01, "coverage": 0.9}
    metrics |= {"min_class_recall": 0.8}
    val = {"images": 10, "accuracy": 0.9}
    split = {"split": "grouped", "grouped": {"images": {"train": 100}, "near_duplicates_across_splits": 3}}
    for path, document in (
        (paths.METRICS, metrics | {"split_sha256": "5" * 64}),
        (paths.EXPORT, {"parameters": 99, "onnx_bytes": (root / paths.ONNX).stat().st_size, "val": val}),
        (paths.SPLIT_REPORT, split),
        (paths.VALIDATION, {"manifest_sha256": "6" * 64}),
    ):
        (root / path).write_text(json.dumps(document), encoding="utf-8")
    rows = predictions(images, wrong)
    rows.to_parquet(root / paths.PREDICTIONS, index=False)
    (root / paths.HISTORY).write_text("epoch,train_loss,val_loss\n1,2.5,3.5\n2,1.25,1.5\n", encoding="utf-8")
    (root / paths.MODEL_CARD).write_text(f"# Model card\n\n{wrong} wrong.\n", encoding="utf-8")
    (root / paths.PLOTS / "confusion.csv").write_text("actual,predicted\n", encoding="utf-8")
    keys = {"dataset": dataset, "source": "auto", "lr": 0.1, "seed": seed} | dict(params or {})
    (root / paths.PARAMS).write_text(yaml.safe_dump(keys), encoding="utf-8")
    if lock:
        write_lock(root, keys)
    return root


def predictions(images: int, wrong: int) -> pd.DataFrame:
    """Rows as `evaluate` writes them, two images a track; the first `wrong` answers are wrong."""
    numbers = np.arange(images)
    label = numbers % len(CLASSES)
    return pd.DataFrame(
        {
            "archive": "images.zip",
            "member": [f"{number}.png" for number in numbers],
            "label": label,
            "group": [f"track {number // 2}" for number in numbers],
            "part": "",
            "pixels_sha256": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
            "predicted": np.where(numbers < wrong, (label + 1) % len(CLASSES), label),
            "confidence": 0.9,
            "probability_of_label": np.where(numbers < wrong, 0.05, 0.9),
            "brier_score": np.where(numbers < wrong, 1.7, 0.02),
        }
    )


def _write_onnx(path: Path, seed: int) -> str:
    """Logits that are linear in the mean colour; the file's SHA-256."""
    slope = np.random.default_rng(seed).normal(size=(3, len(CLASSES))).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
            helper.make_node("MatMul", ["mean", "slope"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(CLASSES)])],
        [numpy_helper.from_array(slope, "slope")],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_lock(root: Path, params: Mapping[str, Any]) -> None:
    """Write a dvc.lock that is true of the files under `root`."""

    def entries(*found: Path) -> list[dict[str, str]]:
        md5 = {path: hashlib.md5((root / path).read_bytes()).hexdigest() for path in found}
        return [{"path": path.as_posix(), "md5": value} for path, value in md5.items()]

    stages = {
        "collect": {"params": {"params.yaml": dict(params)}},
        "export": {"outs": entries(paths.CONTRACT, paths.ONNX)},
        "evaluate": {
            "deps": entries(paths.CONTRACT, paths.ONNX),
            "outs": entries(paths.METRICS, paths.MODEL_CARD, paths.PREDICTIONS),
        },
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
