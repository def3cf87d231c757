"""The real application on loopback, with models of a few numbers that tell colours apart."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import requests
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from waymark import paths
from waymark.contract import Box, Contract
from waymark.serving.limits import LIMITS, Limits

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
from serving import ways  # noqa: E402

PATIENCE = 60  # seconds for a service to start on a busy machine; on a quiet one it takes 2
SIZE = 16
Colour = tuple[int, int, int]
LETTERS: dict[str, Colour] = {
    "A": (255, 0, 0),
    "B": (0, 255, 0),
    "space": (0, 0, 255),
    "del": (0, 0, 0),
    "nothing": (255, 255, 255),
}
Serve = Callable[..., str]
WriteModel = Callable[..., Path]
Compare = Callable[..., dict[str, float]]

SERVER = """
import json, socket, sys
from functools import partial
from pathlib import Path
import uvicorn
from waymark.serving import app, model
from waymark.serving.limits import Limits
folder, descriptor, limits = sys.argv[1:]
application = app.create(partial(model.load, Path(folder), threads=1), Limits(**json.loads(limits)))
protocol = "waymark.serving.http_protocol:LimitedProtocol"
server = uvicorn.Server(uvicorn.Config(application, http=protocol, log_level="critical", server_header=False))
server.run(sockets=[socket.socket(fileno=int(descriptor))])
"""


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """`serve(folder, limits)` starts the application for the model in `folder`, and gives its address."""
    with ExitStack() as servers:

        def started(folder: Path, limits: Limits = LIMITS) -> str:
            # Who connects to a socket that listens already waits until the application answers: no polling.
            listening = servers.enter_context(socket.create_server(("127.0.0.1", 0)))
            command = [sys.executable, "-c", SERVER, str(folder), str(listening.fileno()), json.dumps(asdict(limits))]
            process = subprocess.Popen(command, pass_fds=[listening.fileno()])
            servers.callback(process.wait, timeout=10)
            servers.callback(process.kill)
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield started


@pytest.fixture(scope="session")
def serve_with_bentoml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve_with_bentoml(folder)` is `bentoml serve` in a repository with the model in `folder`: its address."""
    with ExitStack() as servers:

        def started(folder: Path) -> str:
            shutil.copy(ROOT / "service.py", folder)
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            command = [sys.executable, "-m", "bentoml", "serve", "service:Waymark", "--working-dir", str(folder)]
            home = {"BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")), "BENTOML_DO_NOT_TRACK": "True"}
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                env=os.environ | home,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            servers.callback(_end, process)
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process)
            return url

        yield started


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask BentoML to end its workers and itself; kill them all where it does not."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.ConnectionError):
            if requests.get(f"{url}/readyz", timeout=PATIENCE).ok:
                return
        time.sleep(0.05)
    pytest.fail(f"bentoml serve did not answer within {PATIENCE} s")


@pytest.fixture(scope="session")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of letters, so that every address answers."""
    return _write_model(tmp_path_factory.mktemp("letters") / "model", LETTERS)


@pytest.fixture(scope="session")
def letters_url(serve: Serve, letters: Path) -> str:
    return serve(letters)


@pytest.fixture(scope="session")
def bentoml_url(serve_with_bentoml: Serve, letters: Path) -> str:
    """The same under `bentoml serve`."""
    return serve_with_bentoml(letters)


@pytest.fixture(scope="session")
def write_model() -> WriteModel:
    return _write_model


def _write_model(
    folder: Path,
    classes: Mapping[str, Colour],
    *,
    threshold: float = 0.8,
    pictures: bool = True,
    lineage: Mapping[str, Any] | None = None,
) -> Path:
    """A model whose best class is the one with the colour nearest to a picture's mean; `folder` itself."""
    for path in (paths.ONNX, paths.CLASS_PICTURES):
        (folder / path).parent.mkdir(parents=True)
    sha256 = _write_onnx(folder / paths.ONNX, (np.array(list(classes.values())) / 255).astype(np.float32))
    contract = Contract("colours", tuple(classes), SIZE, 0.1, (0.0,) * 3, (1.0,) * 3, threshold=threshold)
    completed = contract.completed(temperature=1.0, weights_sha256="0" * 64, onnx_sha256=sha256, threshold=threshold)
    completed.write(folder / paths.CONTRACT)
    if pictures:
        sheet = np.repeat(np.array(list(classes.values()), np.uint8), SIZE, axis=0)
        Image.fromarray(np.repeat(sheet[:, None], SIZE, axis=1)).save(folder / paths.CLASS_PICTURES)
    unknown = dict.fromkeys(("commit", "changed", "parameters", "data", "metrics", "card"))
    (folder / "lineage.json").write_text(json.dumps({**unknown, **(lineage or {})}))
    return folder


def _write_onnx(path: Path, colours: NDArray[np.float32]) -> str:
    """Logits that fall with the squared distance to each of `colours` (classes, 3); the file's SHA-256."""
    values = {"slope": 40 * colours.T, "offset": -20 * (colours**2).sum(axis=1)}
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
            helper.make_node("Gemm", ["mean", "slope", "offset"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(colours)])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def compare() -> Compare:
    return _compare


def _compare(
    url: str, images: Sequence[tuple[bytes, Box]], cut: NDArray[np.float64], whole: NDArray[np.float64]
) -> dict[str, float]:
    """Ask the service at `url` for images with a region in every way; for each way the largest |Δp| of any class.

    `cut` and `whole` are the probabilities to be expected with the regions and without: (N, classes). Fails where the
    most probable class is another one.
    """
    rois = [",".join(map(str, roi)) for _, roi in images]
    said = ways.ask(url, [data for data, _ in images], rois, classes=cut.shape[1])
    return {way: _largest_difference(answers, whole if way == "zip" else cut) for way, answers in said.items()}


def _largest_difference(answers: Sequence[Any], expected: NDArray[np.float64]) -> float:
    said = ways.probabilities(answers, expected.shape[1])
    assert [answer["label"] for answer in answers] == expected.argmax(axis=1).tolist()
    return float(np.abs(said - expected).max())
