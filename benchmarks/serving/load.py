"""The load cases L1 to L9 and K9: what users of a busy service wait, and how it stands what no service likes."""

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import stage_memory

from serving import clients, open_loop, servers, slow_clients, workspace
from serving.open_loop import Outcomes
from serving.servers import Server

LIMIT = 0.05  # seconds; the 99th percentile that L1 allows
SEARCH_SECONDS = 8.0  # of each rate that L1 tries
ACCURACY = 1.05  # L1 ends where the highest rate that held and the lowest that did not are as near as this
STEADY_SHARE = 0.6  # of L1's rate, for L2
STEADY_MINUTES, MEMORY_MINUTES = 10.0, 30.0
OVERLOAD, OVERLOAD_SECONDS = 2.0, 60.0  # times L1's rate, for L3
MIXED_SECONDS = 30.0
CALM_SECONDS = 10.0  # before it and, twice as long, after it
COLD_STARTS = 5
WARM_UP = 2.0  # seconds
WARM_MINUTES = 2.0  # BentoML keeps a timer of each request for one
MEGABYTE = 2**20


class Load:
    """The cases for one running service; `rate` is L1's, in requests a second."""

    def __init__(self, server: Server, rate: float | None, minutes: float | None) -> None:
        self.server, self.minutes = server, minutes
        self.single = clients.form("/predict", "image", {"sign.png": workspace.png(0)})
        self._rate = rate

    @property
    def rate(self) -> float:
        if self._rate is None:
            self.highest_rate()
        assert self._rate
        return self._rate

    def highest_rate(self) -> None:
        """L1."""
        low, high, rate = 0.0, float("inf"), 100.0
        while high / max(low, 1) > ACCURACY:
            # Twice, since one interruption by something else on the machine is no limit of the service.
            if any(self._holds(rate) for _ in range(2)):
                low = rate
            else:
                high = rate
            rate = low * 1.5 if high == float("inf") else max((low + high) / 2, 1.0)
        self._rate = low
        print(f"L1  {low:,.0f} requests/s with p99 ≤ {1000 * LIMIT:.0f} ms and no error")

    def _holds(self, rate: float) -> bool:
        outcomes = open_loop.run(self.server.port, [self.single], rate, SEARCH_SECONDS)
        return outcomes.errors == 0 and outcomes.quantile(0.99) <= LIMIT

    def steady(self) -> None:
        """L2."""
        minutes = self.minutes or STEADY_MINUTES
        rate = STEADY_SHARE * self.rate
        outcomes = open_loop.run(self.server.port, [self.single], rate, 60 * minutes)
        print(f"L2  {minutes:g} minutes at {rate:,.0f} requests/s: {_summary(outcomes)}")

    def overload(self) -> None:
        """L3."""
        outcomes, end = self.overloaded()
        during = outcomes.of((outcomes.due >= end - OVERLOAD_SECONDS) & (outcomes.due < end))
        refused = during.of(during.status == 503)
        other = during.errors - len(refused.due)
        print(
            f"L3  {OVERLOAD_SECONDS:.0f} s at {OVERLOAD * self.rate:,.0f} requests/s: {len(during.due):,} requests, "
            f"{len(refused.due):,} refused with 503 (p50 {1000 * refused.quantile(0.5):,.0f}, "
            f"p99 {1000 * refused.quantile(0.99):,.0f} ms), {other:,} other errors; "
            f"answered: p99 {1000 * during.answered.quantile(0.99):,.0f} ms; "
            f"recovered in {recovery(outcomes, end):.1f} s"
        )

    def overloaded(self) -> tuple[Outcomes, float]:
        """A minute of twice L1's rate between two calm times, and the second when it ends."""
        calm, end = CALM_SECONDS, CALM_SECONDS + OVERLOAD_SECONDS

        def rate(second: float) -> float:
            return self.rate * (OVERLOAD if calm <= second < end else STEADY_SHARE)

        return open_loop.run(self.server.port, [self.single], rate, end + 2 * calm), end

    def memory(self) -> None:
        """L4."""
        minutes, rate = self.minutes or MEMORY_MINUTES, STEADY_SHARE * self.rate
        growth, outcomes = grow(self.server, self.single, rate, minutes)
        print(f"L4  {minutes:g} minutes at {rate:,.0f} requests/s: {growth}; {_summary(outcomes)}")

    def mixed(self) -> None:
        """L5."""
        files = workspace.pngs(20)
        several = clients.form("/predict_batch", "images", files)
        packed = clients.post("/predict_batch", workspace.zipped(files), "application/zip")
        requests = [*[self.single] * 18, several, packed]
        rate = 0.3 * self.rate  # 58 images to 20 requests
        outcomes = open_loop.run(self.server.port, requests, rate, MIXED_SECONDS)
        print(
            f"L5  {MIXED_SECONDS:.0f} s at {rate:,.0f} requests/s, of 20 one form and one zip with 20 images: "
            f"{_summary(outcomes)}"
        )

    def slow(self) -> None:
        """L6."""
        outcomes, ends = slow_clients.beside(self.server.port, self.single, 0.3 * self.rate)
        print(
            f"L6  64 clients that send a byte a second, beside {0.3 * self.rate:,.0f} requests/s: {_summary(outcomes)}"
        )
        print(f"    the slow ones: {', '.join(f'{count} {end}' for end, count in ends.items())}")

    def killed(self) -> None:
        """K9."""
        rate, killed = 0.3 * self.rate, [0.0]

        def kill() -> None:
            worker = servers.workers(self.server)[0]
            os.kill(worker, signal.SIGKILL)
            killed[0] = time.perf_counter()

        timer = threading.Timer(5.0, kill)
        timer.start()
        outcomes = open_loop.run(self.server.port, [self.single], rate, 20.0)
        end = killed[0] - outcomes.began
        lost = outcomes.of(outcomes.status != 200)
        last = lost.due.max() - end if len(lost.due) else 0.0
        after = outcomes.of(outcomes.due > end)
        print(
            f"K9  worker killed at {rate:,.0f} requests/s: {outcomes.errors} of {len(outcomes.due):,} requests lost, "
            f"the last one sent {1000 * last:+.0f} ms after it; "
            f"answering again {first_answer(after) - end:.1f} s later, as before after {recovery(outcomes, end):.1f} s"
        )


def first_answer(outcomes: Outcomes) -> float:
    """When the first answer came, in seconds from the start."""
    answered = outcomes.answered
    return float((answered.due + answered.waited).min())


def cold_start(folder: Path) -> None:
    """L9."""
    starts = []
    for _ in range(COLD_STARTS):
        with servers.running("waymark", folder) as server:
            starts.append(server.seconds_to_start)
    print(
        f"L9  {statistics.median(starts):.2f} s from `bentoml serve` to its first answer ({COLD_STARTS} starts: "
        f"{min(starts):.2f} to {max(starts):.2f})"
    )


@dataclass(frozen=True)
class Growth:
    """Of the private memory of all the service's processes and of their descriptors, from when it is warm."""

    slope: float  # MB a minute, least squares
    memory: tuple[float, float]  # MB at the start and at the end
    descriptors: tuple[int, int]  # least and most

    def __str__(self) -> str:
        start, end = self.memory
        least, most = self.descriptors
        return f"memory {self.slope:+.2f} MB/min, {start:.0f} to {end:.0f} MB; descriptors {least} to {most}"


def grow(server: Server, request: bytes, rate: float, minutes: float) -> tuple[Growth, Outcomes]:
    """What `minutes` of load do to the service."""
    held: list[tuple[float, float, int]] = []
    stop = threading.Event()

    def watch() -> None:
        began = time.monotonic()
        while not stop.wait(1.0):
            memory = stage_memory.memory(server.process.pid).private / MEGABYTE
            held.append((time.monotonic() - began, memory, servers.descriptors(server)))

    watching = threading.Thread(target=watch)
    watching.start()
    outcomes = open_loop.run(server.port, [request], rate, 60 * minutes)
    stop.set()
    watching.join()
    seconds, memory, descriptors = np.array(held).T
    warm = seconds > min(WARM_MINUTES * 60, seconds[-1] / 4)
    slope = np.polyfit(seconds[warm] / 60, memory[warm], 1)[0]
    open_at_once = descriptors[warm].astype(int)
    ends = (float(memory[warm][0]), float(memory[-1]))
    return Growth(float(slope), ends, (int(open_at_once.min()), int(open_at_once.max()))), outcomes


def recovery(outcomes: Outcomes, end: float) -> float:
    """Seconds from `end` to the first whole second in which none failed and 99 % waited no longer than LIMIT."""
    for start in np.arange(end, outcomes.due[-1], 0.5):
        second = outcomes.of((outcomes.due >= start) & (outcomes.due < start + 1))
        if len(second.due) and not second.errors and second.quantile(0.99) <= LIMIT:
            return float(start - end)
    return float("inf")


def _summary(outcomes: Outcomes) -> str:
    waited = outcomes.answered
    return (
        f"{len(outcomes.due):,} requests, {outcomes.errors} errors, p50 {1000 * waited.quantile(0.5):.1f}, "
        f"p99 {1000 * waited.quantile(0.99):.1f}, p99.9 {1000 * waited.quantile(0.999):.1f}, "
        f"longest {1000 * waited.quantile(1):.0f} ms (of it the client's own lag: "
        f"p99 {1000 * np.quantile(outcomes.lag, 0.99):.1f} ms)"
    )


CASES: dict[str, Callable[[Load], None]] = {
    "L1": Load.highest_rate,
    "L2": Load.steady,
    "L3": Load.overload,
    "L4": Load.memory,
    "L5": Load.mixed,
    "L6": Load.slow,
    "K9": Load.killed,
}
COLD_START = "L9"
NAMES = (*CASES, COLD_START)


def run(folder: Path, cases: Sequence[str], rate: float | None, minutes: float | None) -> None:
    """Measure `cases` on our service with the model under `folder`, and print."""
    if COLD_START in cases:
        cold_start(folder)
    with servers.running("waymark", folder) as server:
        load = Load(server, rate, minutes)
        open_loop.run(server.port, [load.single], 50.0, WARM_UP)
        for case in cases:
            if case in CASES:
                CASES[case](load)
