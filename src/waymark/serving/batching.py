"""Adaptive batching: the model takes whatever gathered while it was busy.

An idle model takes a single image at once; under load batches grow by themselves, to `largest`. Nothing waits for a
batch to fill, so there is no latency to tune.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]


class OverloadError(Exception):
    """As many images wait as may."""


class _Job(NamedTuple):
    images: Images
    answer: "asyncio.Future[Logits]"


class Batcher:
    """Runs `model` on a thread of its own, for callers on one event loop.

    `model` takes (N, S, S, 3) uint8 and gives (N, classes) float32; `observe` is told the size of each batch.
    """

    def __init__(
        self, model: Callable[[Images], Logits], *, largest: int, waiting: int, observe: Callable[[int], None]
    ) -> None:
        self.model, self.largest, self.most_waiting, self.observe = model, largest, waiting, observe
        self.waiting = 0
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
        self._jobs.put(job)
        return await job.answer

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._jobs.put(None)
        self._thread.join()

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
            self._run([job for job in batch if not job.answer.cancelled()], size)

    def _run(self, batch: list[_Job], size: int) -> None:
        answers: Logits | Exception = np.empty(0, np.float32)
        if batch:
            self.observe(sum(len(job.images) for job in batch))
            try:
                answers = self.model(
                    batch[0].images if len(batch) == 1 else np.concatenate([job.images for job in batch])
                )
            except Exception as error:  # whatever it is, the callers must not wait for ever
                answers = error
        self._loop.call_soon_threadsafe(self._tell, batch, size, answers)

    def _tell(self, batch: list[_Job], size: int, answers: Logits | Exception) -> None:
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
