"""What arguments may be; argparse says the rest and ends with exit code 2."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Subcommands = object


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """A whole number from `low` to `high`, where there is one."""
    expected = f"{low} or more" if high is None else f"{low} to {high}"

    def parsed(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not low <= int(text) <= (int(text) if high is None else high):
            raise argparse.ArgumentTypeError(f"{text}: expected {expected}")
        return int(text)

    return parsed


def reason(text: str) -> str:
    """A sentence, on one line."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a reason, which is recorded")
    return " ".join(text.split())
