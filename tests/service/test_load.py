"""The service under load: what is asked at once, refused, slow or interrupted. How fast it is, benchmarks/ measures."""

import asyncio
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from waymark.serving import model
from waymark.serving.limits import LIMITS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from serving.servers import Server

from serving import clients, load, open_loop, servers, slow_clients, workspace

Serve = Callable[..., str]
WriteModel = Callable[..., Path]
PATIENCE = 30  # seconds, on a busy machine
SECONDS = 0.6


@pytest.fixture(scope="module")
def sign() -> bytes:
    """A request with one image."""
    return clients.form("/predict", "image", {"sign.png": workspace.png(0)})


@pytest.fixture(scope="module")
def bentoml(write_model: WriteModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`bentoml serve`, whose worker can be told from its master."""
    folder = write_model(tmp_path_factory.mktemp("bentoml") / "workspace", {"A": (255, 0, 0), "B": (0, 255, 0)})
    workspace.add_service(folder)
    with servers.running("waymark", folder) as server:
        yield server


class Later(threading.Thread):
    """Sends a signal to a process after some seconds; `at` is when it did, by time.perf_counter()."""

    def __init__(self, seconds: float, process: int, number: signal.Signals) -> None:
        super().__init__()
        self.seconds, self.process, self.number, self.at = seconds, process, number, 0.0
        self.start()

    def run(self) -> None:
        time.sleep(self.seconds)
        self.at = time.perf_counter()
        os.kill(self.process, self.number)


def port(url: str) -> int:
    return int(url.rpartition(":")[2])


def pictures(count: int) -> dict[str, bytes]:
    """Noisy pictures of random colours, so that no two answers are alike."""
    chance = np.random.default_rng(0)
    files = {}
    for number in range(count):
        values = chance.integers(0, 256, 3) + chance.integers(-40, 40, (20, 20, 3))
        buffer = io.BytesIO()
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
        files[f"{number}.png"] = buffer.getvalue()
    return files


def test_a_batch_has_the_answers_to_single_images_in_their_order(letters_url: str) -> None:
    files = pictures(70)
    several: list[dict[str, Any]] = [
        {"files": [("images", (name, data)) for name, data in files.items()]},
        {"data": workspace.zipped(files)},
    ]
    with requests.Session() as session:
        singles = [
            session.post(f"{letters_url}/predict", data=data, timeout=PATIENCE).json() for data in files.values()
        ]
    assert len({single["probability"] for single in singles}) > 30
    for sent in several:
        results = requests.post(f"{letters_url}/predict_batch", timeout=PATIENCE, **sent).json()["results"]
        assert [result["name"] for result in results] == list(files)
        assert [_told(result) for result in results] == [_told(single) for single in singles]
        for result, single in zip(results, singles, strict=True):
            assert result["probability"] == pytest.approx(single["probability"], abs=2e-6)


def _told(answer: dict[str, Any]) -> list[int]:
    return [each["label"] for each in answer["top"]]


def test_single_images_forms_and_zips_at_once_are_all_answered(letters_url: str, sign: bytes) -> None:
    files = pictures(40)
    several = clients.form("/predict_batch", "images", files)
    packed = clients.post("/predict_batch", workspace.zipped(files), "application/zip")
    sent = [sign, several, sign, packed]
    found = open_loop.run(port(letters_url), sent, rate=60.0, seconds=SECONDS)
    assert len(found.status) > 15
    assert set(found.status.tolist()) == {200}


@pytest.mark.slow
def test_ordinary_requests_are_answered_beside_64_clients_that_send_a_byte_a_second(
    serve: Serve, letters: Path, sign: bytes
) -> None:
    url = serve(letters, replace(LIMITS, body_seconds=0.5))
    found, ends = slow_clients.beside(port(url), sign, rate=30.0, seconds=2.0)
    assert len(found.status) > 30
    assert set(found.status.tolist()) == {200}
    # Half of them had sent their headers; the others never got to be a request.
    assert ends == {"ended with HTTP/1.1 408 Request Timeout": 32, "still open": 32}


@pytest.mark.slow
def test_too_many_at_once_are_refused_at_once_and_the_next_is_answered(bentoml: Server, sign: bytes) -> None:
    workers = servers.workers(bentoml)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    awake = [Later(2.0, worker, signal.SIGCONT) for worker in workers]  # when all have asked, on a busy machine, too
    found = open_loop.run(bentoml.port, [sign], rate=2500.0, seconds=0.4)
    for each in awake:
        each.join()
    statuses = found.status.tolist()
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= LIMITS.singles
    after = open_loop.run(bentoml.port, [sign], rate=20.0, seconds=SECONDS)
    assert set(after.status.tolist()) == {200}


@pytest.mark.slow
def test_a_hundred_callers_are_answered_even_if_one_worker_took_them_all(bentoml: Server, sign: bytes) -> None:
    async def at_once() -> list[int]:
        pool = clients.Pool(bentoml.port)
        answers = await asyncio.gather(*(pool.ask(sign) for _ in range(100)))
        pool.close()
        return [answer.status for answer in answers]

    workers = servers.workers(bentoml)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    awake = Later(0.3, workers[0], signal.SIGCONT)
    try:
        assert asyncio.run(at_once()) == [200] * 100
    finally:
        awake.join()
        os.kill(workers[1], signal.SIGCONT)


@pytest.mark.slow
def test_a_killed_worker_costs_the_requests_in_flight_and_is_replaced(bentoml: Server, sign: bytes) -> None:
    killed = servers.workers(bentoml)[0]
    kill = Later(SECONDS / 2, killed, signal.SIGKILL)
    found = open_loop.run(bentoml.port, [sign], rate=50.0, seconds=SECONDS)
    kill.join()
    end = kill.at - found.began
    assert set(found.of(found.due > end + 0.1).status.tolist()) == {200}  # they wait for the next one
    assert found.of(found.due < end - 0.2).errors == 0
    assert killed not in servers.workers(bentoml)


SHARE = """
import service
service.Waymark.inject_config()  # as `bentoml serve` does
print(service.load().predictor.session.get_session_options().intra_op_num_threads)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 1000])
def test_workers_share_the_cores(letters: Path, tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(letters, folder)
    workspace.add_service(folder)
    own = {"BENTOML_CONFIG_OPTIONS": f"services.waymark.workers={workers}"}
    done = subprocess.run(
        [sys.executable, "-c", SHARE], cwd=folder, env=os.environ | own, capture_output=True, text=True
    )
    assert done.stdout == f"{max(model.cores() // workers, 1)}\n", done.stderr


@pytest.mark.slow
def test_workers_end_with_a_master_that_is_killed(letters: Path, tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    shutil.copytree(letters, folder)
    workspace.add_service(folder)
    with servers.running("waymark", folder) as server:
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + PATIENCE
        while _is_held(server.port) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _is_held(server.port)


def _is_held(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def own_bentoml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`bentoml serve` with a network of the size that is trained."""
    folder = tmp_path_factory.mktemp("random") / "workspace"
    workspace.make("random", folder)
    with servers.running("waymark", folder) as server:
        yield server


@pytest.mark.long
def test_ten_minutes_at_a_moderate_rate_lose_no_request(own_bentoml: Server, sign: bytes) -> None:
    found = open_loop.run(own_bentoml.port, [sign], rate=100.0, seconds=600.0)
    assert found.errors == 0


@pytest.mark.long
def test_a_minute_of_twice_what_is_possible_is_refused_and_over_in_five_seconds(
    own_bentoml: Server, sign: bytes
) -> None:
    measured = load.Load(own_bentoml, rate=None, minutes=None)
    outcomes, end = measured.overloaded()
    assert set(outcomes.status.tolist()) == {200, 503}
    assert load.recovery(outcomes, end) <= 5


@pytest.mark.long
def test_memory_and_descriptors_stay_flat_for_half_an_hour(own_bentoml: Server, sign: bytes) -> None:
    growth, outcomes = load.grow(own_bentoml, sign, rate=100.0, minutes=30.0)
    assert outcomes.errors == 0
    assert growth.slope < 1
    least, most = growth.descriptors
    assert most - least < 50  # a few more connections where the machine was busy
