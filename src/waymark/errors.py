"""Errors that a person must act on, and how a command ends when one is raised."""

import functools
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class WaymarkError(Exception):
    """One sentence for the person who must act: what was wrong, where, what was expected, what to do."""


class Stopped(BaseException):
    """A signal asked the command to end. No Exception: nobody is to take it for a failure and work around it."""

    def __init__(self, number: int, consequence: str = "") -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}{consequence}")
        self.code = 128 + number  # as a shell has it


@dataclass
class Asked:
    """The signal that has asked the command to end, 0 while none has, and when it came, as time.monotonic() has it."""

    signal: int = 0
    at: float = 0.0


def reason(error: Exception) -> str:
    """What an error says, on one line; for the system's errors without number and path."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split())


def cause(error: BaseException) -> str:
    """What the system said at first: requests wraps it several times and writes a paragraph."""
    said, at = type(error).__name__, error.__context__
    while at:
        if isinstance(at, OSError) and at.strerror:
            said = at.strerror
        at = at.__context__
    return said


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def deferring() -> Iterator[Asked]:
    """SIGTERM and Ctrl-C only ask the block to end where it suits it; who asks twice is not kept waiting."""
    asked = Asked()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.signal:
            _stop(number, frame)
        asked.signal, asked.at = number, time.monotonic()

    with _handling(ask, signal.SIGTERM, signal.SIGINT):
        yield asked


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """Only a process's main thread may say what signals do."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers if main}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def exit_with_sentence(command: Callable[[], int | None]) -> Callable[[], None]:
    """Wrap a command's entry point: a WaymarkError is printed without a traceback and ends with exit code 1.

    So is what the system refuses, such as a folder without permission. SIGTERM ends it as an error does, with nothing
    half-written and no process left behind, and with the exit code that a shell expects.
    """

    @functools.wraps(command)
    def run() -> None:
        logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
        for own in ("waymark", "__main__"):  # a stage is __main__ under `python -m`; libraries speak of trouble only
            logging.getLogger(own).setLevel(logging.INFO)
        try:
            with _handling(_stop, signal.SIGTERM):
                code = command()
        except WaymarkError as error:
            sys.exit(f"error: {error}")
        except OSError as error:
            sys.exit(f"error: {error.filename or 'a file'}: cannot be read or written ({reason(error)})")
        except Stopped as stopped:
            sys.stderr.write(f"{stopped}\n")
            sys.exit(stopped.code)
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(code or 0)

    return run
