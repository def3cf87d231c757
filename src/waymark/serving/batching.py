"""Adaptive batching: the model takes whatever gathered while it was busy.

An idle model takes a single image at once; under load batches grow by themselves, to `largest`. Nothing waits for a
batch to fill, so there is no latency to tune.

A quick model answers an image that came alone on the event loop itself: waking a thread and being woken by it would
take a sixth of the request's time. What arrives together goes to the thread together.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]

QUICK = 0.005  # seconds that an event loop can be spared; Python itself switches threads no sooner


class OverloadError(Exception):
    """As many images wait as may."""


class _Job(NamedTuple):
    images: Images
    answer: "asyncio.Future[Logits]"


class Batcher:
    """Runs `model` for callers on one event loop: on a thread of its own, or on the loop where that is quicker.

    `model` takes (N, S, S, 3) uint8 and gives (N, classes) float32; `observe` is told the size of each batch.
    """

    def __init__(
        self, model: Callable[[Images], Logits], *, largest: int, waiting: int, observe: Callable[[int], None]
    ) -> None:
        self.model, self.largest, self.most_waiting, self.observe = model, largest, waiting, observe
        self.waiting = 0
        self._single_seconds = float("inf")  # that the model took for the last image that was alone
        self._gathered: list[_Job] = []  # since the loop last had nothing else to do
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    async def __call__(self, images: Images) -> Logits:
        """Logits of `images`, (N, classes) in their order. Raises OverloadError at once where too many images wait."""
        if self.waiting + len(images) > self.most_waiting:
            raise OverloadError
        self.waiting += len(images)
        job = _Job(images, self._loop.create_future())
        if not self._gathered:
            self._loop.call_soon(self._hand_over)  # after whatever else has arrived was decoded
        self._gathered.append(job)
        return await job.answer

    def close(self) -> None:
        """Finish what was asked until now, then end the thread; nothing may be asked afterwards."""
        for job in self._gathered:
            self._jobs.put(job)
        self._gathered = []
        self._jobs.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if not gathered:
            return  # closed meanwhile
        if self.waiting == len(gathered[0].images) == 1 and self._single_seconds < QUICK:
            self._tell(1, *self._run(gathered))
        else:
            for job in gathered:
                self._jobs.put(job)

    def _work(self) -> None:
        carried: _Job | None = None
        while (first := carried or self._jobs.get()) is not None:
            batch, size, carried = [first], len(first.images), None
            while size < self.largest and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    self._jobs.put(None)
                    break
                if size + len(job.images) > self.largest:
                    carried = job
                    break
                batch.append(job)
                size += len(job.images)
            self._loop.call_soon_threadsafe(self._tell, size, *self._run(batch))

    def _run(self, batch: list[_Job]) -> tuple[list[_Job], Logits | Exception]:
        """Those of `batch` that still wait, and their logits or what the model raised."""
        wanted = [job for job in batch if not job.answer.cancelled()]
        if not wanted:
            return wanted, np.empty(0, np.float32)
        images = sum(len(job.images) for job in wanted)
        began = time.perf_counter()
        try:
            self.observe(images)
            return wanted, self.model(
                wanted[0].images if len(wanted) == 1 else np.concatenate([job.images for job in wanted])
            )
        except Exception as error:  # whatever it is, the callers must not wait for ever
            return wanted, error
        finally:
            if images == 1:
                self._single_seconds = time.perf_counter() - began

    def _tell(self, size: int, batch: list[_Job], answers: Logits | Exception) -> None:
        self.waiting -= size
        start = 0
        for job in batch:
            end = start + len(job.images)
            if not job.answer.done():
                if isinstance(answers, Exception):
                    job.answer.set_exception(answers)
                else:
                    job.answer.set_result(answers[start:end])
            start = end
