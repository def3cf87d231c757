"""Processes that draw or decode images side by side, and none of which is left behind."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any


@contextmanager
def pool(count: int, start: Callable[..., None] | None = None, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """`count` processes, in each of which `start(*arguments)` runs first. A signal that ends the block ends them too.

    They are spawned, not forked: the one start method that every system has and that no thread of the caller can upset.
    """
    with ProcessPoolExecutor(count, get_context("spawn"), _begin, (start, arguments)) as pool:
        try:
            yield pool
        except Exception:
            raise
        except BaseException:  # a signal; what they are at is of no more use
            # The pool's own thread trips over tasks that were cancelled when processes go, and would print how.
            threading.excepthook = lambda _: None
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def _begin(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if start:
        start(*arguments)


def _end_with_parent() -> None:
    """A pool's process would wait for its next task for ever where the one that gives it was killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
