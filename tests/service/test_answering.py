"""Who is admitted, who waits for a turn, and what becomes of work that is given up."""

import asyncio
import io
import logging
import threading
import zipfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from waymark.serving import model
from waymark.serving.answering import BATCH, DECODERS, Answering
from waymark.serving.batching import OverloadError
from waymark.serving.instruments import Instruments
from waymark.serving.limits import LIMITS, Limits

PATIENCE = 30  # seconds, on a busy machine


class Held:
    """The logits of a model, given only as often as `release` allows."""

    def __init__(self, logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> None:
        self.logits = logits
        self.started, self.release = threading.Semaphore(0), threading.Semaphore(0)
        self.fault: Exception | None = None

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.started.release()
        assert self.release.acquire(timeout=PATIENCE)
        if self.fault:
            raise self.fault
        return self.logits(images)

    async def is_busy(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, timeout=PATIENCE)


Test = Callable[[Answering, Held], Coroutine[None, None, None]]


@pytest.fixture
def run(tmp_path: Path, write_model: Callable[..., Path]) -> Callable[..., None]:
    write_model(tmp_path, {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)})

    def run(test: Test, limits: Limits = LIMITS) -> None:
        async def main() -> None:
            answering = Answering(model.load(tmp_path, threads=1), limits, Instruments())
            answering.batcher.model = held = Held(answering.batcher.model)
            try:
                await asyncio.wait_for(test(answering, held), PATIENCE)
            finally:
                held.release.release(10_000)
                await asyncio.to_thread(answering.close)

        asyncio.run(main())

    return run


def png(red: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (red, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(images: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for number in range(images):
            opened.writestr(f"{number}.png", png())
    return buffer.getvalue()


async def outcomes(*asked: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*asked, return_exceptions=True)


def test_one_single_image_too_many_is_refused_before_it_is_decoded(run: Callable[..., None]) -> None:
    async def test(answering: Answering, held: Held) -> None:
        first = asyncio.create_task(answering.one(png(), None, 1))
        await held.is_busy()
        with pytest.raises(OverloadError):
            await answering.one(b"no image, which is not looked at", None, 1)
        held.release.release()
        assert (await first)["class_name"] == "red"
        held.release.release()
        assert (await answering.one(png(), None, 1))["class_name"] == "red"

    run(test, replace(LIMITS, singles=1))


def test_batches_wait_for_their_turn_and_one_too_many_is_refused_at_once(run: Callable[..., None]) -> None:
    async def test(answering: Answering, held: Held) -> None:
        asked = [asyncio.create_task(answering.archive(archive(3), 1)) for _ in range(DECODERS + 2)]
        await held.is_busy()
        for refused in (answering.archive(archive(3), 1), answering.several([("a", png())], [], 1)):
            with pytest.raises(OverloadError):
                await refused
        with pytest.raises(OverloadError):
            await answering.explanation(png(), None, None)
        assert not any(task.done() for task in asked)
        held.release.release(10_000)
        assert [len(answers) for answers in await asyncio.gather(*asked)] == [3] * len(asked)
        assert len(await answering.archive(archive(1), 1)) == 1

    run(test, replace(LIMITS, batches=DECODERS + 2))


def test_no_more_batches_are_under_way_than_there_are_decoders(run: Callable[..., None]) -> None:
    async def test(answering: Answering, held: Held) -> None:
        asked = [asyncio.create_task(answering.archive(archive(BATCH), 1)) for _ in range(6)]
        for _ in range(DECODERS):
            await held.is_busy()
            held.release.release()
        for through in islice(asyncio.as_completed(asked), DECODERS):
            await through
        assert sum(task.done() for task in asked) == DECODERS  # the first are through, not all half-way
        held.release.release(10_000)
        await asyncio.gather(*asked)

    run(test)


def test_batch_that_takes_too_long_is_given_up_and_the_next_is_answered(run: Callable[..., None]) -> None:
    async def test(answering: Answering, held: Held) -> None:
        with pytest.raises(TimeoutError):
            await answering.archive(archive(2 * BATCH), 1)
        held.release.release(10_000)
        assert len(await answering.archive(archive(2), 1)) == 2

    run(test, replace(LIMITS, answer_seconds=0.2))


def test_fault_of_the_model_reaches_the_batch_and_leaves_nothing_behind(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    async def test(answering: Answering, held: Held) -> None:
        held.fault = MemoryError("no room")
        held.release.release(10_000)
        assert [type(each) for each in await outcomes(answering.archive(archive(3 * BATCH), 1))] == [MemoryError]
        held.fault = None
        assert len(await answering.archive(archive(2), 1)) == 2

    with caplog.at_level(logging.ERROR, "asyncio"):
        run(test)
    assert not caplog.records
