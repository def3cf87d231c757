"""Charts as inline SVG: they open offline, follow the page's colours, and are the same bytes for the same numbers."""

import html
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 340, 240  # user units, about the px of a phone: the lettering stays legible there
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 34  # room for the scales
SIDES = 24  # bins a side of the map of sizes
WIDE = 8  # largest over smallest size from which a logarithmic scale shows more than a linear one

Scale = Callable[[float], float]


def bar(count: int, most: int, kind: str) -> str:
    """A bar of `count` on a scale that ends at `most`; it takes the width of its place. The number stands beside it."""
    length = 100 * count / most if most else 0.0
    return (
        '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{html.escape(kind)}" width="{length:.2f}" height="1"/></svg>'
    )


def histogram(series: Mapping[str, NDArray[np.float64]], edges: Sequence[float], label: str, unit: str) -> str:
    """The share of each series' values that falls between neighbouring `edges`, a filled first series under lines.

    Series are drawn in the style of their name's class; values beyond the edges count in the outermost bins. `label` is
    what a screen reader says, `unit` what stands under the scale.
    """
    shares = {name: _shares(values, edges) for name, values in series.items() if len(values)}
    top = max((float(share.max()) for share in shares.values()), default=0.0) or 1.0
    x = _linear(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    y = _linear(0, top * 1.05, HEIGHT - BOTTOM, TOP)
    parts = [_horizontal(y, tick, f"{tick:g} %") for tick in ticks(0, top, 5)]
    parts += [_under(x(tick), f"{tick:g}") for tick in ticks(edges[0], edges[-1], 7)]
    for number, (name, share) in enumerate(shares.items()):
        kind = "area" if number == 0 else "line"
        parts.append(f'<path class="{kind} {html.escape(name)}" d="{_steps(share, edges, x, y)}"/>')
    parts.append(_caption(unit))
    return _svg(label, parts)


def size_map(widths: NDArray[np.int64], heights: NDArray[np.int64], label: str) -> str:
    """How many images have which width and height, darker where more; images as wide as high lie on the diagonal.

    At least one image. The scales are logarithmic where the largest side is over WIDE times the smallest.
    """
    sides = np.concatenate([widths, heights])
    low, high = int(sides.min()), int(sides.max()) + 1
    wide = high > WIDE * low
    edges = np.unique((np.geomspace if wide else np.linspace)(low, high, min(high - low, SIDES) + 1).round())
    counts = np.histogram2d(widths, heights, bins=(edges, edges))[0]
    scale = _logarithmic if wide else _linear
    x, y = scale(low, high, LEFT, WIDTH - RIGHT), scale(low, high, HEIGHT - BOTTOM, TOP)
    marks = _decades(low, high) if wide else ticks(low, high, 6)
    parts = [_horizontal(y, tick, f"{tick:g}") for tick in marks]
    parts += [_under(x(tick), f"{tick:g}") for tick in marks]
    parts.append(f'<path class="grid" d="M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}"/>')
    depth = 0.15 + 0.85 * np.sqrt(counts / counts.max())  # by the root, or rare sizes would not be seen
    for i, j in np.argwhere(counts):
        left, above = x(edges[i]), y(edges[j + 1])
        what = f"{_span(edges, i)} × {_span(edges, j)} px: {counts[i, j]:,.0f}"
        parts.append(
            f'<rect class="cell" x="{left:.1f}" y="{above:.1f}" width="{x(edges[i + 1]) - left:.1f}"'
            f' height="{y(edges[j]) - above:.1f}" fill-opacity="{depth[i, j]:.2f}">'
            f"<title>{what}</title></rect>"
        )
    parts.append(_caption("width × height, px" + ", logarithmic" * wide))
    return _svg(label, parts)


def ticks(low: float, high: float, most: int) -> list[float]:
    """The multiples of 1, 2 or 5 times a power of ten between `low` and `high`, `most` of them at most."""
    if high <= low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [round(number * step, 10) for number in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [value for power in powers for factor in (1, 2, 5) if low <= (value := factor * 10.0**power) <= high]


def _shares(values: NDArray[np.float64], edges: Sequence[float]) -> NDArray[np.float64]:
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), bins=np.asarray(edges))[0]
    return 100 * counts / len(values)


def _steps(share: NDArray[np.float64], edges: Sequence[float], x: Scale, y: Scale) -> str:
    path = [f"M{x(edges[0]):.1f} {y(0):.1f}"]
    path += [f"V{y(height):.1f}H{x(end):.1f}" for height, end in zip(share, edges[1:], strict=True)]
    return "".join(path) + f"V{y(0):.1f}"


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + math.log(value / low) / math.log(high / low) * (end - start)


def _span(edges: NDArray[np.float64], index: int) -> str:
    first, last = int(edges[index]), int(edges[index + 1]) - 1
    return f"{first}" if first == last else f"{first}–{last}"


def _horizontal(y: Scale, tick: float, text: str) -> str:
    height = y(tick)
    return (
        f'<path class="grid" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _under(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{text}</text>'


def _caption(text: str) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    return f'<text x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">{html.escape(text)}</text>'


def _svg(label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )
