"""What arguments may be; argparse says the rest and ends with exit code 2."""

import argparse
import re
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


def box(text: str) -> tuple[int, int, int, int]:
    """Corners in pixels as x1,y1,x2,y2; whether they lie in the image is seen when it is there."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9}){3}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text}: expected x1,y1,x2,y2 in whole numbers of pixels, such as 5,5,40,40")
    x1, y1, x2, y2 = map(int, text.split(","))
    return x1, y1, x2, y2


def reason(text: str) -> str:
    """A sentence, on one line."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a reason, which is recorded")
    return " ".join(text.split())
