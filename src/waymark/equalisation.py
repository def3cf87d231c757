"""Equalisation of an image's luma, so that a dark or hazy picture uses the whole range.

Everything is counted in integers and divided once at the end. IEEE 754 rounds that one division correctly, so that the
bytes are the same on every machine, whatever its vector units do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Luma = NDArray[np.uint8]

LEVELS = 256
TILES = 4  # a side; a tile of a 40 px image is 100 pixels: local, and still enough for a histogram
CLIP_LIMIT = 2.0  # most pixels that a level may count for, in even shares of the tile; OpenCV's tutorial has it so


def on_luma(image: Image.Image, method: Callable[[Luma], Luma]) -> NDArray[np.uint8]:
    """Apply `method` to the luma (ITU-R BT.601) of an RGB image; chroma stays, as far as the range reaches.

    In YCbCr that is a change of Y, and a change of Y is the same change of R, G and B. Added there, nothing is lost;
    Pillow's way to YCbCr and back loses up to three levels.
    """
    luma = np.asarray(image.convert("L"))
    change = method(luma).astype(np.int16) - luma
    return np.asarray(np.clip(np.asarray(image) + change[..., None], 0, LEVELS - 1), np.uint8)


def histogram(luma: Luma) -> Luma:
    """Equalise one histogram over the whole image, any shape (Gonzalez and Woods, Digital Image Processing, 3.3.1).

    The darkest level becomes 0 and the brightest 255, as in OpenCV's equalizeHist; an image of one level stays as it
    is. Pillow's ImageOps.equalize rounds the pixels a level down, at 16 px to none, and then does nothing.
    """
    cumulative = np.bincount(luma.ravel(), minlength=LEVELS).cumsum()
    darkest = cumulative[luma.min()]
    if darkest == luma.size:
        return luma
    table = _divided(np.maximum(cumulative - darkest, 0) * (LEVELS - 1), luma.size - darkest)
    return table[luma]


def clahe(luma: Luma) -> Luma:
    """Contrast-limited adaptive equalisation of an (S, S) image (Zuiderveld, Graphics Gems IV, 1994, VIII.5).

    Each of TILES × TILES tiles has its own table; a pixel's value is interpolated between the four nearest. The choices
    that the paper leaves open (padding, where clipped pixels go, rounding) are those of OpenCV's createCLAHE.
    """
    grid = _grid(len(luma))
    tables = _tables(luma[grid.padding[:, None], grid.padding] + grid.tile, grid.tile_side**2)
    corners = tables.ravel()[grid.corners + luma]
    return _divided((corners * grid.weights).sum(axis=0), (2 * grid.tile_side) ** 2)


@dataclass(frozen=True)
class _Grid:
    """Where the tiles of an S × S image lie; it reaches P ≥ S px, the next multiple of TILES, to the right and down.

    A tile is named by its first row in the flattened tables: its number times LEVELS.
    """

    tile_side: int  # px
    padding: NDArray[np.intp]  # (P,), the row or column that each row or column repeats
    tile: NDArray[np.intp]  # (P, P), each pixel's tile
    corners: NDArray[np.intp]  # (4, S, S), the tiles whose centres are nearest to each pixel
    weights: NDArray[np.intp]  # (4, S, S), of those tiles, in 1 / (2 tile sides)²


@lru_cache(maxsize=4)  # one image size a run
def _grid(side: int) -> _Grid:
    padding = np.pad(np.arange(side), (0, -side % TILES), mode="reflect")
    tile_side = len(padding) // TILES
    number = np.arange(len(padding)) // tile_side
    # A pixel lies x / tile_side - 1/2 tiles behind the first tile's centre; counted in half pixels it stays whole.
    before, beyond = np.divmod(2 * np.arange(side) - tile_side, 2 * tile_side)
    nearest = np.stack([np.maximum(before, 0), np.minimum(before + 1, TILES - 1)])
    share = np.stack([2 * tile_side - beyond, beyond])
    return _Grid(
        tile_side,
        padding,
        (number[:, None] * TILES + number) * LEVELS,
        (nearest[:, None, :, None] * TILES + nearest[None, :, None, :]).reshape(4, side, side) * LEVELS,
        (share[:, None, :, None] * share[None, :, None, :]).reshape(4, side, side),
    )


def _tables(entries: NDArray[np.intp], area: int) -> Luma:
    """(TILES², LEVELS) look-up tables, from each pixel's entry in them (its tile's first, plus its level)."""
    counts = np.bincount(entries.ravel(), minlength=TILES**2 * LEVELS).reshape(TILES**2, LEVELS)
    limit = max(int(CLIP_LIMIT * area / LEVELS), 1)
    clipped = np.maximum(counts - limit, 0).sum(axis=1, keepdims=True)
    # What is clipped is given back to all levels alike, and the rest of that to every so many levels, darkest first.
    each, rest = np.divmod(clipped, LEVELS)
    turn, between = np.divmod(np.arange(LEVELS), LEVELS // np.maximum(rest, 1))
    counts = np.minimum(counts, limit) + each + ((between == 0) & (turn < rest))
    return _divided(counts.cumsum(axis=1) * (LEVELS - 1), area)


def _divided(numerators: NDArray[np.intp], denominator: int) -> Luma:
    """Quotients rounded to the nearest integer, ties to even; they must lie in [0, 255]."""
    return np.rint(numerators / denominator).astype(np.uint8)
