"""Requests that come when they come, as from many strangers: what a server's users wait, its queue included.

Arrivals are a Poisson process. Each request's time counts from when it was due, so that neither a slow server nor a
late client hides waiting (Schroeder et al. 2006, "Open versus closed: a cautionary tale").
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import uvloop
from numpy.typing import NDArray

from serving.clients import Answer, Pool
from serving.closed_loop import calm

PATIENCE = 30.0  # seconds after which a caller gives up
NO_ANSWER = 0  # in place of a status
CONNECTIONS = 10_000  # open at once; above it a request is lost, as it is where a client has no port left


@dataclass(frozen=True)
class Outcomes:
    """One element a request, in order of arrival."""

    began: float  # by time.perf_counter()
    due: NDArray[np.float64]  # seconds from then
    waited: NDArray[np.float64]  # seconds from when it was due to its answer
    status: NDArray[np.int64]
    lag: NDArray[np.float64]  # seconds that the client sent it late

    def of(self, chosen: NDArray[np.bool_]) -> "Outcomes":
        return Outcomes(self.began, self.due[chosen], self.waited[chosen], self.status[chosen], self.lag[chosen])

    @property
    def answered(self) -> "Outcomes":
        return self.of(self.status == 200)

    @property
    def errors(self) -> int:
        return int((self.status != 200).sum())

    def quantile(self, share: float) -> float:
        """Of the seconds waited; infinite where there was no request."""
        return float(np.quantile(self.waited, share)) if len(self.waited) else float("inf")


def run(
    port: int,
    requests: Sequence[bytes],
    rate: float | Callable[[float], float],
    seconds: float,
    *,
    seed: int = 0,
    check: Callable[[int, Answer], None] | None = None,
) -> Outcomes:
    """Send `requests` in turn for `seconds`, on the average `rate` a second, and wait for all the answers.

    `rate` may depend on the seconds since the start; `check` is given each answer and the number of its request.
    """
    with calm():
        return uvloop.run(send(port, requests, rate, seconds, seed=seed, check=check))


async def send(
    port: int,
    requests: Sequence[bytes],
    rate: float | Callable[[float], float],
    seconds: float,
    *,
    seed: int = 0,
    check: Callable[[int, Answer], None] | None = None,
) -> Outcomes:
    """What `run` does, on a loop that runs already."""
    chance, pool = random.Random(seed), Pool(port)
    found: list[tuple[float, float, int, float]] = []
    running: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()

    async def one(number: int, due: float) -> None:
        sent = time.perf_counter() - began
        status = NO_ANSWER
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await pool.ask(requests[number % len(requests)])
            status = answer.status
            if check:
                check(number, answer)
        except (OSError, TimeoutError):
            pass
        found.append((due, time.perf_counter() - began - due, status, sent - due))

    due, number = 0.0, 0
    while True:
        due += chance.expovariate(rate(due) if callable(rate) else rate)
        if due > seconds:
            break
        if (ahead := due - (time.perf_counter() - began)) > 0:
            await asyncio.sleep(ahead)
        elif number % 32 == 0:
            await asyncio.sleep(0)  # late: let the answers in
        if len(running) < CONNECTIONS:
            task = loop.create_task(one(number, due))
            running.add(task)
            task.add_done_callback(running.discard)
        else:
            found.append((due, 0.0, NO_ANSWER, 0.0))
        number += 1
    while running:
        await asyncio.wait(running)
    pool.close()
    columns = np.array(sorted(found), np.float64).reshape(-1, 4).T
    return Outcomes(began, columns[0], columns[1], columns[2].astype(np.int64), columns[3])
