"""Exact image operations behind the drawn pictures: perspective, sampling, box blur, averaging.

As in canvas.py, the same bytes on every machine: element-wise + - * / on float64, integers, and Python scalars; no
matrix product and no float sum, whose last bits depend on the processor.
"""

import numpy as np
from numpy.typing import NDArray

from waymark.datasets.drawing.canvas import SPAN, cosine, sine

Array = NDArray[np.float64]
Row = tuple[float, float, float]
Homography = tuple[Row, Row, Row]

DISTANCE = 450.0  # from the sign to the centre of projection, in canvas units: a slight keystone


def pose(yaw: float, pitch: float, roll: float) -> Homography:
    """From the sign's plane to its picture in the same units, after turns in degrees.

    The turns are about the upright axis, the level axis and the line of sight.
    """
    (cy, sy), (cp, sp), (cr, sr) = ((cosine(angle), sine(angle)) for angle in (yaw, pitch, roll))
    x = (cr * cy - sr * sp * sy, -sr * cp, 0.0)
    y = (sr * cy + cr * sp * sy, cr * cp, 0.0)
    return (x, y, (-cp * sy / DISTANCE, sp / DISTANCE, 1.0))


def scaled(homography: Homography, scale: float, x: float, y: float) -> Homography:
    """`homography`, its picture then scaled and moved."""
    first, second, third = homography
    (a, b, c), (d, e, f) = (
        tuple(scale * p + move * q for p, q in zip(row, third, strict=True)) for row, move in ((first, x), (second, y))
    )
    return ((a, b, c), (d, e, f), third)


def inverse(homography: Homography) -> Homography:
    """The way back, up to a factor that `mapped` cancels: the adjugate matrix."""
    (a, b, c), (d, e, f), (g, h, i) = homography
    return (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )


def mapped(homography: Homography, x: Array, y: Array) -> tuple[Array, Array]:
    (a, b, c), (d, e, f), (g, h, i) = homography
    depth = g * x + h * y + i
    return (a * x + b * y + c) / depth, (d * x + e * y + f) / depth


def extent(homography: Homography, coverage: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a canvas's picture, as far as `coverage` (S, S) is at least one half."""
    covered = coverage >= 128
    rows = np.flatnonzero(covered.any(axis=1))
    first = covered[rows].argmax(axis=1)
    last = covered.shape[1] - covered[rows, ::-1].argmax(axis=1)
    unit = 2 * SPAN / covered.shape[0]
    x = np.concatenate([first, last, first, last]) * unit - SPAN
    y = np.concatenate([rows, rows, rows + 1, rows + 1]) * unit - SPAN
    u, v = mapped(homography, x, y)
    return float(u.min()), float(v.min()), float(u.max()), float(v.max())


def index(position: Array, size: int, rim: int = 0) -> NDArray[np.intp]:
    """The pixel at each position of a canvas of `size` px in a rim of `rim` px; beyond both, the nearest."""
    pixel = np.floor((position + SPAN) * (size / (2 * SPAN)))
    return np.asarray(np.clip(pixel, -rim, size - 1 + rim).astype(np.intp) + rim)


def averaged(picture: NDArray[np.int32], block: int) -> NDArray[np.int32]:
    """(H·block, W·block, C) to the (H, W, C) means of its blocks, rounded."""
    height, width, channels = picture.shape
    sums = picture.reshape(height // block, block, width // block, block, channels).sum(axis=(1, 3), dtype=np.int32)
    return np.asarray((sums + block * block // 2) // (block * block))


def blurred(picture: NDArray[np.int32], length: int, axis: int) -> NDArray[np.int32]:
    """The running mean over `length` neighbours along `axis`, the edge's pixels repeated beyond it."""
    if length < 2:
        return picture
    padding = [(0, 0)] * picture.ndim
    padding[axis] = (length // 2 + 1, (length - 1) // 2)
    sums = np.pad(picture, padding, mode="edge").cumsum(axis=axis, dtype=np.int32)
    size = picture.shape[axis]
    along = np.moveaxis(sums, axis, 0)
    return np.moveaxis((along[length : length + size] - along[:size]) // length, 0, axis)
