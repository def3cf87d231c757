"""The load cases L1 to L9 and K9: what users of a busy service wait, and how it stands what no service likes."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import stage_memory

from serving import clients, open_loop, servers, slow_clients, workspace
from serving.open_loop import Outcomes
from serving.servers import Server

LIMIT = 0.05  # seconds; the 99th percentile that L1 allows
SEARCH_SECONDS = 10.0  # of each rate that L1 tries
ACCURACY = 1.05  # L1 ends where the highest rate that held and the lowest that did not are as near as this
STEADY_SHARE = 0.6  # of L1's rate, for L2
STEADY_MINUTES, MEMORY_MINUTES = 10.0, 30.0
OVERLOAD, OVERLOAD_SECONDS = 2.0, 60.0  # times L1's rate
RECOVERY = 5.0  # seconds
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
        calm = 10.0

        def rate(second: float) -> float:
            return self.rate * (OVERLOAD if calm <= second < calm + OVERLOAD_SECONDS else STEADY_SHARE)

        outcomes = open_loop.run(self.server.port, [self.single], rate, calm + OVERLOAD_SECONDS + 2 * calm)
        during = outcomes.of((outcomes.due >= calm) & (outcomes.due < calm + OVERLOAD_SECONDS))
        refused = during.of(during.status == 503)
        other = during.of((during.status != 503) & (during.status != 200))
        print(
            f"L3  {OVERLOAD_SECONDS:.0f} s at {OVERLOAD * self.rate:,.0f} requests/s: {len(during.due):,} requests, "
            f"{len(refused.due):,} refused with 503 (p99 {1000 * refused.quantile(0.99):,.0f} ms), "
            f"{len(other.due):,} other errors; answered: p99 {1000 * during.answered.quantile(0.99):,.0f} ms; "
            f"recovered within {recovery(outcomes, calm + OVERLOAD_SECONDS):.1f} s"
        )

    def memory(self) -> None:
        """L4."""
        minutes = self.minutes or MEMORY_MINUTES
        held: list[tuple[float, float, int]] = []
        stop = threading.Event()
        watching = threading.Thread(target=self._watch, args=(held, stop))
        watching.start()
        outcomes = open_loop.run(self.server.port, [self.single], STEADY_SHARE * self.rate, 60 * minutes)
        stop.set()
        watching.join()
        seconds, megabytes, descriptors = np.array(held).T
        settled = seconds > min(120.0, seconds[-1] / 4)  # BentoML keeps a timer for each request for a minute
        slope = np.polyfit(seconds[settled] / 60, megabytes[settled], 1)[0]
        print(
            f"L4  {minutes:g} minutes at {STEADY_SHARE * self.rate:,.0f} requests/s: {slope:+.2f} MB/min from "
            f"{megabytes[settled][0]:.0f} to {megabytes[-1]:.0f} MB; descriptors {descriptors[settled].min():.0f} to "
            f"{descriptors[settled].max():.0f}; {_summary(outcomes)}"
        )

    def _watch(self, held: list[tuple[float, float, int]], stop: threading.Event) -> None:
        began = time.monotonic()
        while not stop.wait(1.0):
            worker = servers.worker(self.server)
            memory = stage_memory.memory(worker).private / MEGABYTE
            held.append((time.monotonic() - began, memory, len(list(Path(f"/proc/{worker}/fd").iterdir()))))

    def mixed(self) -> None:
        """L5."""
        files = workspace.pngs(20)
        several = clients.form("/predict_batch", "images", files)
        packed = clients.post("/predict_batch", workspace.zipped(files), "application/zip")
        requests = [*[self.single] * 18, several, packed]
        rate = 0.3 * self.rate  # 58 images to 20 requests
        outcomes = open_loop.run(self.server.port, requests, rate, 60.0)
        print(f"L5  60 s at {rate:,.0f} requests/s, of 20 one form and one zip with 20 images: {_summary(outcomes)}")

    def slow(self) -> None:
        """L6."""
        outcomes, ends = slow_clients.beside(self.server.port, self.single, 0.3 * self.rate)
        print(
            f"L6  64 clients that send a byte a second, beside {0.3 * self.rate:,.0f} requests/s: {_summary(outcomes)}"
        )
        print(f"    the slow ones: {ends}")

    def killed(self) -> None:
        """K9."""
        rate, seconds = 0.3 * self.rate, 15.0
        in_flight = threading.Timer(5.0, lambda: os.kill(servers.worker(self.server), signal.SIGKILL))
        in_flight.start()
        outcomes = open_loop.run(self.server.port, [self.single], rate, seconds)
        lost = outcomes.of(outcomes.status != 200)
        print(
            f"K9  worker killed at {rate:,.0f} requests/s: {outcomes.errors} of {len(outcomes.due):,} requests lost, "
            f"all due within {np.ptp(lost.due) if len(lost.due) else 0:.3f} s; "
            f"back within {outcomes.answered.waited.max():.1f} s"
        )


def recovery(outcomes: Outcomes, end: float) -> float:
    """Seconds after `end` from which on no request fails or waits longer than LIMIT at the 99th percentile.

    Looked at in halves of a second.
    """
    last = end
    for start in np.arange(end, outcomes.due[-1], 0.5):
        window = outcomes.of((outcomes.due >= start) & (outcomes.due < start + 0.5))
        if window.errors or window.quantile(0.99) > LIMIT:
            last = float(start) + 0.5
    return last - end


def _summary(outcomes: Outcomes) -> str:
    waited = outcomes.answered
    return (
        f"{len(outcomes.due):,} requests, {outcomes.errors} errors, p50 {1000 * waited.quantile(0.5):.1f}, "
        f"p99 {1000 * waited.quantile(0.99):.1f}, p99.9 {1000 * waited.quantile(0.999):.1f}, "
        f"longest {1000 * waited.quantile(1):.0f} ms (of it the client's own lag: "
        f"p99 {1000 * np.quantile(outcomes.lag, 0.99):.1f} ms)"
    )


CASES = {
    "L1": Load.highest_rate,
    "L2": Load.steady,
    "L3": Load.overload,
    "L4": Load.memory,
    "L5": Load.mixed,
    "L6": Load.slow,
    "K9": Load.killed,
}


def run(folder: Path, cases: list[str], rate: float | None, minutes: float | None) -> None:
    """Measure `cases` on our service with the model under `folder`, and print; L9 needs no load."""
    with servers.running("waymark", folder) as server:
        load = Load(server, rate, minutes)
        open_loop.run(server.port, [load.single], 50.0, 2.0)  # warm
        for case in cases:
            CASES[case](load)
