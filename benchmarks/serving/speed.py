"""Requests and images a second: our service beside plain Flask and FastAPI endpoints, and ONNX Runtime alone.

Every server has one worker, the same model file and the same threads for ONNX Runtime, and gets the same image. They
take turns, so that a busy machine hits all alike; ratios are medians of those of each turn.
"""

import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving import clients, closed_loop, servers, workspace
from serving.closed_loop import Measured
from serving.plain import Model
from serving.servers import Server
from waymark import contract

CALLERS = (1, 8, 64)
OURS = "waymark"
TITLES = {
    OURS: "waymark",
    "flask": "Flask, gunicorn sync",
    "flask-threads": "Flask, gunicorn 4 threads",
    "fastapi": "FastAPI, uvicorn",
}
GOALS = {"flask": 1.15, "flask-threads": 1.15, "fastapi": 0.75}  # times their rate
BATCH = 32  # images that ONNX Runtime alone takes at a time, as the service does
IMAGES = 1000
BATCH_RATE, BATCH_SHARE = 1500, 0.7  # goals: images/s, and share of what decoding and ONNX Runtime alone reach
BATCH_TURNS = 2  # to each round; they are short
WARM_UP = 1.0  # seconds


@dataclass(frozen=True)
class Turn:
    measured: Measured
    processor: float  # seconds of all cores for one answer, in the server


Turns = dict[tuple[int, str], list[Turn]]


def compare(folder: Path, rounds: int, seconds: float) -> None:
    """Measure with the model under `folder`, and print."""
    one = workspace.png(0)
    request = clients.form("/predict", "image", {"sign.png": one})
    files = workspace.pngs(IMAGES)
    batches = {
        "zip": clients.post("/predict_batch?top=1", workspace.zipped(files), "application/zip"),
        "form": clients.form("/predict_batch?top=1", "images", files),
    }
    alone = Model(folder)
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(servers.running(name, folder, workers=1)) for name in TITLES}
        for server in started.values():
            closed_loop.measure(server.port, request, max(CALLERS), WARM_UP)
        turns, limit = _singles(started, request, lambda: _one_by_one(alone, one, seconds), rounds, seconds)
        rates = _batches(started[OURS].port, batches, lambda: _alone(alone, files), BATCH_TURNS * rounds)
    _print_singles(turns, limit, len(one))
    _print_batches(rates)


def _singles(
    started: Mapping[str, Server], request: bytes, alone: Callable[[], float], rounds: int, seconds: float
) -> tuple[Turns, list[float]]:
    turns: Turns = {(callers, name): [] for callers in CALLERS for name in started}
    limits = []
    for round_ in range(rounds):
        for callers in CALLERS:
            for name, server in list(started.items())[:: 1 if round_ % 2 == 0 else -1]:
                before = servers.processor_seconds(server)
                measured = closed_loop.measure(server.port, request, callers, seconds)
                used = servers.processor_seconds(server) - before
                turns[callers, name].append(Turn(measured, used / (measured.rate * seconds)))
        limits.append(alone())
    return turns, limits


def _one_by_one(model: Model, data: bytes, seconds: float) -> float:
    """Images a second of one process that decodes and answers the same image again and again."""
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        model.answer(io.BytesIO(data))
        count += 1
    return count / (time.perf_counter() - began)


def _batches(
    port: int, requests: Mapping[str, bytes], alone: Callable[[], float], rounds: int
) -> dict[str, list[float]]:
    """Images a second of each way, and of decoding and ONNX Runtime alone."""
    rates: dict[str, list[float]] = {name: [] for name in (*requests, "alone")}
    for request in requests.values():
        closed_loop.measure(port, request, callers=1, seconds=WARM_UP)
    for _ in range(rounds):
        for name, request in requests.items():
            answered = closed_loop.measure(port, request, callers=1, seconds=0)
            rates[name].append(IMAGES * answered.rate)
        rates["alone"].append(alone())
    return rates


def _alone(model: Model, files: Mapping[str, bytes]) -> float:
    began = time.perf_counter()
    images = [model.contract.image(contract.decode(data)) for data in files.values()]
    for start in range(0, len(images), BATCH):
        model.contract.probabilities(model.predictor.logits(np.stack(images[start : start + BATCH])))
    return len(files) / (time.perf_counter() - began)


def _print_singles(turns: Turns, alone: list[float], size: int) -> None:
    print(f"single images: a PNG of {workspace.SIDE} px, {size:,} bytes, in a form to /predict")
    print(
        f"{'callers':>7}  {'server':26}{'answers/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>8}   ours / theirs (goal)"
    )
    for callers in CALLERS:
        for name, title in TITLES.items():
            theirs = turns[callers, name]
            line = f"{callers:7}  {title:26}{_median(turn.measured.rate for turn in theirs):10,.0f}"
            line += "".join(
                f"{1000 * _median(seconds):9.2f}"
                for seconds in ((turn.measured.p50 for turn in theirs), (turn.measured.p99 for turn in theirs))
            )
            line += f"{1000 * _median(turn.processor for turn in theirs):8.2f}"
            print(line + (f"   {_compared(turns[callers, OURS], theirs, GOALS[name])}" if name != OURS else ""))
    print(f"{'':7}  {'ONNX Runtime alone':26}{_median(alone):10,.0f}   decoding included, one image at a time")
    share = max(turn.measured.client_share for each in turns.values() for turn in each)
    print(f"the client took {share:.0%} of one core at most")


def _compared(ours: list[Turn], theirs: list[Turn], goal: float) -> str:
    pairs = [(our.measured, their.measured) for our, their in zip(ours, theirs, strict=True)]
    rate = _median(our.rate / their.rate for our, their in pairs)
    p99 = _median(our.p99 / their.p99 for our, their in pairs)
    return f"rate × {rate:.2f} ({goal:.2f}: {_word(rate >= goal)}), p99 × {p99:.2f} (1.00: {_word(p99 <= 1)})"


def _print_batches(rates: Mapping[str, list[float]]) -> None:
    alone = rates["alone"]
    print(f"{IMAGES:,} such images in one request to /predict_batch")
    for name, title in {"zip": "waymark, zip", "form": "waymark, form"}.items():
        rate = _median(rates[name])
        share = _median(our / limit for our, limit in zip(rates[name], alone, strict=True))
        print(
            f"{title:30}{rate:8,.0f} images/s ({BATCH_RATE:,}: {_word(rate >= BATCH_RATE)})   "
            f"{share:.0%} of ONNX Runtime alone ({BATCH_SHARE:.0%}: {_word(share >= BATCH_SHARE)})"
        )
    print(f"{'ONNX Runtime alone':30}{_median(alone):8,.0f} images/s   decoding included, {BATCH} at a time")


def _word(holds: bool) -> str:
    return "met" if holds else "NOT met"


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))
