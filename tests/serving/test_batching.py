"""Batches gather while the model is busy; every caller gets the answers to its own images, or the error."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine

import numpy as np
import pytest
from numpy.typing import NDArray

from waymark.serving.batching import Batcher, OverloadError

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]
PATIENCE = 30  # seconds, on a busy machine


class Model:
    """Answers each image with its first value; waits for `release` before each batch."""

    def __init__(self) -> None:
        self.started, self.release = threading.Semaphore(0), threading.Semaphore(0)
        self.batches: list[list[float]] = []
        self.fault: Exception | None = None

    def __call__(self, images: Images) -> Logits:
        self.started.release()
        assert self.release.acquire(timeout=PATIENCE)
        logits = images[:, 0, 0, :1].astype(np.float32)
        self.batches.append(logits[:, 0].tolist())
        if self.fault:
            raise self.fault
        return logits

    async def is_busy(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, timeout=PATIENCE)


def images(*values: int) -> Images:
    return np.array(values, np.uint8)[:, None, None, None].repeat(3, axis=3)


def run(test: Callable[[Model, Batcher, list[int]], Coroutine[None, None, None]], waiting: int = 100) -> None:
    """Run `test` with a model, its batcher of at most 4 images a batch, and the sizes that were observed."""

    async def main() -> None:
        model, observed = Model(), list[int]()
        batcher = Batcher(model, largest=4, waiting=waiting, observe=observed.append)
        try:
            await asyncio.wait_for(test(model, batcher, observed), PATIENCE)
        finally:
            model.release.release(1000)
            await asyncio.to_thread(batcher.close)

    asyncio.run(main())


async def answers(*callers: Awaitable[Logits]) -> list[list[float]]:
    return [logits[:, 0].tolist() for logits in await asyncio.gather(*callers)]


def started(batcher: Batcher, *values: int) -> "asyncio.Task[Logits]":
    return asyncio.create_task(batcher(images(*values)))


async def handed_over() -> None:
    """Until what was started has asked, and all of it was handed to the model's thread."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_an_idle_model_takes_a_single_image_at_once() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        caller = started(batcher, 7)
        await model.is_busy()
        model.release.release()
        assert await answers(caller) == [[7]]
        assert observed == [1]

    run(test)


def test_a_quick_model_answers_a_lone_image_on_the_loop_and_what_comes_together_on_its_thread() -> None:
    async def main() -> None:
        ran_on: list[tuple[str, int]] = []

        def model(images: Images) -> Logits:
            ran_on.append((threading.current_thread().name, len(images)))
            return images[:, 0, 0, :1].astype(np.float32)

        batcher = Batcher(model, largest=4, waiting=100, observe=lambda _: None)
        here = threading.current_thread().name
        try:
            for _ in range(100):  # on a busy machine a run may take long, and the next one the thread
                assert await answers(batcher(images(1))) == [[1]]
                if ran_on[-1] == (here, 1):
                    break
            assert ran_on[0] == ("model", 1)  # how quick it is was not known yet
            assert ran_on[-1] == (here, 1)
            assert await answers(batcher(images(2)), batcher(images(3))) == [[2], [3]]
            after = ran_on[ran_on.index((here, 1)) + 1 :]
            assert {thread for thread, _ in after} == {"model"}
            assert sum(size for _, size in after) == 2
        finally:
            batcher.close()

    asyncio.run(main())


def test_what_gathers_while_the_model_is_busy_is_one_batch_in_order() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        first = started(batcher, 1)
        await model.is_busy()
        others = [started(batcher, 2), started(batcher, 3, 4), started(batcher, 5)]
        await handed_over()
        model.release.release(2)
        assert await answers(first, *others) == [[1], [2], [3, 4], [5]]
        assert model.batches == [[1], [2, 3, 4, 5]]
        assert observed == [1, 4]

    run(test)


def test_a_batch_never_exceeds_the_largest_and_nothing_is_overtaken() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        callers = [started(batcher, 0)]
        await model.is_busy()
        callers += [started(batcher, 1, 2, 3), started(batcher, 4, 5), started(batcher, 6)]
        await handed_over()
        model.release.release(10)
        assert await answers(*callers) == [[0], [1, 2, 3], [4, 5], [6]]
        assert model.batches == [[0], [1, 2, 3], [4, 5, 6]]

    run(test)


def test_too_many_waiting_are_refused_at_once_and_those_before_are_answered() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        first = started(batcher, 1)
        await model.is_busy()
        second = started(batcher, 2, 3)
        await handed_over()
        with pytest.raises(OverloadError):
            await batcher(images(4))
        model.release.release(10)
        assert await answers(first, second) == [[1], [2, 3]]
        assert await answers(batcher(images(4))) == [[4]]

    run(test, waiting=3)


def test_a_fault_of_the_model_reaches_every_caller_of_that_batch_and_no_other() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        first = started(batcher, 1)
        await model.is_busy()
        others = [started(batcher, 2), started(batcher, 3)]
        await handed_over()
        model.release.release()
        assert await answers(first) == [[1]]
        model.fault = ValueError("broken")
        model.release.release()
        faults = await asyncio.gather(*others, return_exceptions=True)
        assert [repr(fault) for fault in faults] == ["ValueError('broken')"] * 2
        model.fault = None
        model.release.release()
        assert await answers(batcher(images(4))) == [[4]]
        assert batcher.waiting == 0

    run(test)


def test_callers_that_gave_up_cost_no_run_and_free_their_places() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        first = started(batcher, 1)
        await model.is_busy()
        gone = [started(batcher, 2), started(batcher, 3, 4)]
        await handed_over()
        for caller in gone:
            caller.cancel()
        stays = started(batcher, 5)
        await handed_over()
        model.release.release(10)
        assert await answers(first, stays) == [[1], [5]]
        assert model.batches == [[1], [5]]
        assert batcher.waiting == 0

    run(test)


def test_a_caller_that_gives_up_in_a_running_batch_disturbs_nobody() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        gone = started(batcher, 1)
        await model.is_busy()
        stays = started(batcher, 2)
        await handed_over()
        gone.cancel()
        model.release.release(10)
        assert await answers(stays) == [[2]]
        assert batcher.waiting == 0

    run(test)


def test_closing_answers_what_waits_and_ends_the_thread() -> None:
    async def test(model: Model, batcher: Batcher, observed: list[int]) -> None:
        callers = [started(batcher, 1)]
        await model.is_busy()
        callers += [started(batcher, 2), started(batcher, 3)]
        await handed_over()
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        model.release.release(10)
        await closing
        assert not any(thread.name == "model" for thread in threading.enumerate())
        assert await answers(*callers) == [[1], [2], [3]]

    run(test)
