"""From the bytes of a request to answers: decode, cut, gather into batches, put into words."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from waymark.serving import explaining, uploads
from waymark.serving.batching import Batcher, OverloadError
from waymark.serving.bodies import box
from waymark.serving.instruments import Instruments
from waymark.serving.limits import Limits
from waymark.serving.model import ServedModel
from waymark.serving.uploads import Refusal

DECODED_AT_ONCE = 2**16  # pixels; decoding that many takes about a millisecond, handing them to a thread a tenth
OPENED_AT_ONCE = 2**16  # bytes; the headers of a larger file may take tens of milliseconds
DECODERS = 2  # threads, so that as many large images are in memory at most
BATCH = 32  # images; larger batches were no faster, and a single image waits for the batch before it
CHUNK_SECONDS = 0.05  # after which a decoder lets another request take its turn

Cut = NDArray[np.uint8]
Answer = dict[str, Any]
T = TypeVar("T")


class Answering:
    """What the routes ask; lives on one event loop."""

    def __init__(self, model: ServedModel, limits: Limits, instruments: Instruments) -> None:
        self.model, self.limits, self.instruments = model, limits, instruments
        self.contract = model.predictor.contract
        self.singles = 0  # that are being answered
        self.batches = 0  # that are being answered, or wait for their turn
        self._turn = asyncio.Semaphore(DECODERS)  # one after the other: shared among all, time would be enough for none
        self.batcher = Batcher(model.predictor.logits, largest=BATCH, waiting=limits.waiting, observe=instruments.batch)
        self.decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")

    def close(self) -> None:
        self.decoders.shutdown(cancel_futures=True)
        self.batcher.close()

    def admit(self) -> None:
        """OverloadError where as many single images are being answered as may."""
        if self.singles >= self.limits.singles:
            raise OverloadError

    async def one(self, data: bytes, roi: str | None, top: int) -> Answer:
        """The answer to one image. Raises Refusal, OverloadError and TimeoutError."""
        self.admit()
        self.singles += 1
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                answers = self.model.answers(await self.batcher((await self._cut(data, roi))[None]), top)
        finally:
            self.singles -= 1
        self.instruments.answers(answers)
        return answers[0]

    @contextlib.asynccontextmanager
    async def _turn_of_a_batch(self) -> AsyncIterator[None]:
        """Wait for the turn of what takes many runs of the model; OverloadError at once where too many wait already."""
        if self.batches >= self.limits.batches:
            raise OverloadError
        self.batches += 1
        try:
            async with asyncio.timeout(self.limits.answer_seconds), self._turn:
                yield
        finally:
            self.batches -= 1

    async def several(self, images: list[tuple[str, bytes]], rois: list[str], top: int) -> list[Answer]:
        """One answer or named error for each image, in their order."""
        boxes = rois or [""] * len(images)

        def cuts() -> Iterator[tuple[str, Cut | Refusal]]:
            for (name, data), roi in zip(images, boxes, strict=True):
                try:
                    yield name, self._cut_opened(uploads.opened(data, self.limits), roi)
                except Refusal as refusal:
                    yield name, refusal

        return await self._many(cuts(), top)

    async def archive(self, data: bytes, top: int) -> list[Answer]:
        """One answer or named error for each member of a zip, in the order of names."""

        def cuts() -> Iterator[tuple[str, Cut | Refusal]]:
            for name, found in uploads.archive(data, self.limits):
                yield name, found if isinstance(found, Refusal) else self.contract.image(found)

        return await self._many(cuts(), top)

    async def explanation(self, data: bytes, roi: str | None, label: int | None) -> tuple[int, bytes]:
        """The label that is explained, by default the best one, and a heat map as PNG."""
        async with self._turn_of_a_batch():
            cut = await self._cut(data, roi)
            plain = self.contract.probabilities(await self.batcher(cut[None]))[0]
            explained = int(plain.argmax()) if label is None else label
            copies = explaining.covered(cut)
            parts = [await self.batcher(copies[start : start + BATCH]) for start in range(0, len(copies), BATCH)]
            under_cover = self.contract.probabilities(np.concatenate(parts))[:, explained]
            return explained, await self._on_thread(
                lambda: explaining.heat_map(cut, float(plain[explained]), under_cover)
            )

    async def _cut(self, data: bytes, roi: str | None) -> Cut:
        if len(data) > OPENED_AT_ONCE:
            return await self._on_thread(lambda: self._cut_opened(uploads.opened(data, self.limits), roi))
        opened = uploads.opened(data, self.limits)
        if opened.width * opened.height <= DECODED_AT_ONCE:
            return self._cut_opened(opened, roi)
        return await self._on_thread(lambda: self._cut_opened(opened, roi))

    def _cut_opened(self, opened: Image.Image, roi: str | None) -> Cut:
        image = uploads.decoded(opened)
        return self.contract.image(image, box(roi, image.width, image.height) if roi else None)

    async def _many(self, cuts: Iterator[tuple[str, Cut | Refusal]], top: int) -> list[Answer]:
        """Decode on a thread, a chunk at a time, while the model is busy with the chunk before."""
        deadline = time.monotonic() + self.limits.answer_seconds
        answers: list[Answer] = []
        running: asyncio.Task[list[Answer]] | None = None
        try:
            async with self._turn_of_a_batch():
                while chunk := await self._on_thread(lambda: _chunk(cuts, deadline)):
                    if running:
                        answers += await running
                    running = asyncio.create_task(self._answer_chunk(chunk, top))
                if running:
                    answers += await running
        finally:
            if running:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        self.instruments.answers(answer for answer in answers if "error" not in answer)
        return answers

    async def _answer_chunk(self, chunk: list[tuple[str, Cut | Refusal]], top: int) -> list[Answer]:
        images = [found for _, found in chunk if not isinstance(found, Refusal)]
        answers = iter(self.model.answers(await self.batcher(np.stack(images)), top) if images else [])
        return [
            {"name": name, "error": {"reason": found.reason, "message": str(found)}}
            if isinstance(found, Refusal)
            else {"name": name, **next(answers)}
            for name, found in chunk
        ]

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.decoders, work)


def _chunk(cuts: Iterator[tuple[str, Cut | Refusal]], deadline: float) -> list[tuple[str, Cut | Refusal]]:
    """The next images, as many as a batch takes or as are decoded in CHUNK_SECONDS; none at the end."""
    chunk: list[tuple[str, Cut | Refusal]] = []
    enough = time.monotonic() + CHUNK_SECONDS
    for each in cuts:
        if time.monotonic() > deadline:
            raise TimeoutError
        chunk.append(each)
        if len(chunk) == BATCH or time.monotonic() > enough:
            break
    return chunk
