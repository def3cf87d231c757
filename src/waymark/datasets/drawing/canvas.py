"""A small exact rasteriser: flat shapes to pixels, the same bytes on every machine.

A font or drawing library would differ in the last bit between versions, processors (fused multiply-add) and vector
widths. So pixels are decided with NumPy's element-wise + - * / and comparisons on float64, each of which IEEE 754
rounds in one way only, and averaged as integers. Sines and cosines are Python scalars rounded to six decimals, which
hides the last bits in which C libraries disagree.

Coordinates run from -100 to 100, x to the right and y downwards; the canvas is that whole square.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
Colour = tuple[int, int, int]

SPAN = 100.0  # the canvas reaches from -SPAN to SPAN


@dataclass(frozen=True)
class Shape:
    """A line of some width through `points`, and the area inside it where `filled`; a single round point is a disc."""

    points: tuple[Point, ...]
    colour: Colour
    width: float = 0.0
    filled: bool = False  # closes the line and fills by the even-odd rule
    round_ends: bool = True  # else the line is cut straight at its first and last point


def fill(points: Iterable[Point], colour: Colour, rounding: float = 0.0) -> Shape:
    """A polygon, grown by `rounding` on all sides so that its corners are arcs of that radius."""
    return Shape(tuple(points), colour, 2 * rounding, filled=True)


def stroke(points: Iterable[Point], colour: Colour, width: float, *, round_ends: bool = True) -> Shape:
    return Shape(tuple(points), colour, width, round_ends=round_ends)


def disc(x: float, y: float, radius: float, colour: Colour) -> Shape:
    return Shape(((x, y),), colour, 2 * radius)


def box(x1: float, y1: float, x2: float, y2: float, colour: Colour, rounding: float = 0.0) -> Shape:
    """An upright rectangle between two corners, its own corners rounded within it."""
    x1, y1, x2, y2 = x1 + rounding, y1 + rounding, x2 - rounding, y2 - rounding
    return fill(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), colour, rounding)


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> tuple[Point, ...]:
    """Points of an ellipse's arc from `start` to `stop` degrees, about 8° apart; 0° is right, 90° is down."""
    steps = max(2, math.ceil(abs(stop - start) / 8))
    angles = (start + (stop - start) * step / steps for step in range(steps + 1))
    return tuple((x + rx * cosine(angle), y + ry * sine(angle)) for angle in angles)


def curve(points: Sequence[Point], steps: int = 6) -> tuple[Point, ...]:
    """A smooth line through `points`: a Catmull-Rom spline, `steps` straight pieces between two points."""
    padded = [points[0], *points, points[-1]]
    smooth = [points[0]]
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for t in (step / steps for step in range(1, steps + 1)):
            x, y = (_spline(a[axis], b[axis], c[axis], d[axis], t) for axis in (0, 1))
            smooth.append((x, y))
    return tuple(smooth)


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def sine(degrees: float) -> float:
    return round(math.sin(math.radians(degrees)), 6)


def cosine(degrees: float) -> float:
    return round(math.cos(math.radians(degrees)), 6)


def placed(shapes: Iterable[Shape], x: float = 0.0, y: float = 0.0, scale: float = 1.0) -> tuple[Shape, ...]:
    """The same drawing, scaled about the origin and then moved."""
    return tuple(
        replace(s, points=tuple((x + scale * px, y + scale * py) for px, py in s.points), width=scale * s.width)
        for s in shapes
    )


def mirrored(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """The same drawing with left and right exchanged."""
    return tuple(replace(s, points=tuple((-x, y) for x, y in s.points)) for s in shapes)


def turned(shapes: Iterable[Shape], degrees: float) -> tuple[Shape, ...]:
    """The same drawing, turned clockwise about the origin."""
    c, s = cosine(degrees), sine(degrees)
    return tuple(
        replace(shape, points=tuple((c * x - s * y, s * x + c * y) for x, y in shape.points)) for shape in shapes
    )


def recoloured(shapes: Iterable[Shape], colours: dict[Colour, Colour]) -> tuple[Shape, ...]:
    return tuple(replace(s, colour=colours.get(s.colour, s.colour)) for s in shapes)


def paint(shapes: Iterable[Shape], size: int, samples: int = 2) -> NDArray[np.uint8]:
    """Paint `shapes` in their order, later ones on top, with `samples`² samples a pixel.

    Returns (size, size, 4) uint8: red, green and blue already multiplied by coverage, then coverage.
    """
    side = size * samples
    picture = np.zeros((side, side, 4), np.uint8)
    for shape in shapes:
        rows, columns = _reach(shape, 1, side), _reach(shape, 0, side)
        if rows.start < rows.stop and columns.start < columns.stop:
            inside = _inside(shape, _positions(columns, side)[None, :], _positions(rows, side)[:, None])
            picture[rows, columns][inside] = (*shape.colour, 255)
    blocks = picture.astype(np.uint32).reshape(size, samples, size, samples, 4).sum(axis=(1, 3))
    return np.asarray((blocks + samples * samples // 2) // (samples * samples), np.uint8)


def _reach(shape: Shape, axis: int, side: int) -> slice:
    """The rows or columns of samples that the shape may touch."""
    along = [point[axis] for point in shape.points]
    low, high = min(along) - shape.width / 2, max(along) + shape.width / 2
    scale = side / (2 * SPAN)
    first, last = math.floor((low + SPAN) * scale), math.ceil((high + SPAN) * scale)
    return slice(min(max(first, 0), side), min(max(last, 0), side))


def _positions(reach: slice, side: int) -> NDArray[np.float64]:
    return (np.arange(reach.start, reach.stop) + 0.5) * (2 * SPAN / side) - SPAN


def _inside(shape: Shape, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    points = shape.points
    inside = np.zeros((y.size, x.size), np.bool_)
    if shape.filled:
        points = (*points, points[0])
        for start, stop in pairwise(points):
            inside ^= _left_of_edge(start, stop, x, y)
    if shape.width > 0:
        square = (shape.width / 2) * (shape.width / 2)
        for start, stop in pairwise(points):
            inside |= _in_strip(start, stop, square, x, y)
        for px, py in points if shape.round_ends else points[1:-1]:
            inside |= (x - px) * (x - px) + (y - py) * (y - py) <= square
    return inside


def _left_of_edge(start: Point, stop: Point, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a ray to the right crosses the edge: an odd number of crossings is inside."""
    (x1, y1), (x2, y2) = start, stop
    if y1 == y2:
        return np.zeros((1, 1), np.bool_)
    crossing = x1 + (y - y1) * ((x2 - x1) / (y2 - y1))
    return np.asarray(((y1 <= y) != (y2 <= y)) & (x < crossing))


def _in_strip(
    start: Point, stop: Point, square: float, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the perpendicular meets the line between its ends and its squared length is under `square`.

    Nowhere if the two ends are one point.
    """
    dx, dy = stop[0] - start[0], stop[1] - start[1]
    length = dx * dx + dy * dy
    along = (x - start[0]) * dx + (y - start[1]) * dy
    across = (x - start[0]) * dy - (y - start[1]) * dx
    return np.asarray((along >= 0) & (along <= length) & (across * across < square * length))
