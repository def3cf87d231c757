"""How numbers are written in reports and verdicts, and how tables stand in a terminal."""

import math
from collections.abc import Iterator, Sequence

MINUS = "−"


def per_cent(share: float) -> str:
    return f"{100 * share:.2f} %"


def points(share: float) -> str:
    """A difference of shares, with its sign, in percentage points."""
    return signed(100 * share, 2)


def signed(value: float, decimals: int) -> str:
    if math.isinf(value) or math.isnan(value):
        return "?"
    text = f"{abs(value):.{decimals}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def probability(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + ('es' if one.endswith('s') else 's')}"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row, its cells below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
