"""Errors that a person must act on, and how a command ends when one is raised."""

import functools
import logging
import sys
from collections.abc import Callable


class WaymarkError(Exception):
    """One sentence for the person who must act: what was wrong, where, what was expected, what to do."""


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


def exit_with_sentence(command: Callable[[], int | None]) -> Callable[[], None]:
    """Wrap a command's entry point: a WaymarkError is printed without a traceback and ends with exit code 1.

    So is what the system refuses, such as a folder without permission.
    """

    @functools.wraps(command)
    def run() -> None:
        logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
        for own in ("waymark", "__main__"):  # a stage is __main__ under `python -m`; libraries speak of trouble only
            logging.getLogger(own).setLevel(logging.INFO)
        try:
            code = command()
        except WaymarkError as error:
            sys.exit(f"error: {error}")
        except OSError as error:
            sys.exit(f"error: {error.filename or 'a file'}: cannot be read or written ({reason(error)})")
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(code or 0)

    return run
