"""A fixed number of callers, each sending its next request when the last is answered: what a server can do at most."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import uvloop

from serving.clients import Pool


@dataclass(frozen=True)
class Measured:
    rate: float  # answers a second
    p50: float  # seconds
    p99: float
    client_share: float  # of one core, that this process took


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """No garbage collection of the client's while it measures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def measure(port: int, request: bytes, callers: int, seconds: float) -> Measured:
    """Raises RuntimeError at any answer but 200: a server that refuses is quick."""
    with calm():
        return uvloop.run(_measure(port, request, callers, seconds))


async def _measure(port: int, request: bytes, callers: int, seconds: float) -> Measured:
    pool = Pool(port)
    latencies: list[float] = []
    began, worked = time.perf_counter(), time.process_time()

    async def call() -> None:
        answered = began
        while answered == began or answered < began + seconds:  # once at least
            sent = time.perf_counter()
            answer = await pool.ask(request)
            answered = time.perf_counter()
            latencies.append(answered - sent)
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}: {answer.body[:200]!r}")

    await asyncio.gather(*(call() for _ in range(callers)))
    elapsed, used = time.perf_counter() - began, time.process_time() - worked
    pool.close()
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return Measured(len(latencies) / elapsed, float(p50), float(p99), used / elapsed)
