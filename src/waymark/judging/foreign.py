"""Far out of distribution: pictures of none of the classes, and how well a score tells them from known ones."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

COUNT = 200  # of each kind: the AUROC's standard error is then below 0.002 where it is above 0.98

Pixels = NDArray[np.uint8]


def noise(chance: np.random.Generator, count: int, side: int) -> Pixels:
    """Each pixel of any colour."""
    return chance.integers(0, 256, (count, side, side, 3), np.uint8)


def blank(chance: np.random.Generator, count: int, side: int) -> Pixels:
    """One colour each; the first three are black, white and grey."""
    colours = chance.integers(0, 256, (count, 1, 1, 3), np.uint8)
    colours[:3] = np.array([0, 255, 128], np.uint8)[: len(colours), None, None, None]
    return np.broadcast_to(colours, (count, side, side, 3)).copy()


def gradient(chance: np.random.Generator, count: int, side: int) -> Pixels:
    """From one colour to another, in any direction."""
    ends = chance.uniform(0, 255, (2, count, 1, 1, 3))
    angles = chance.uniform(0, 2 * np.pi, (count, 1, 1))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    share = (np.sin(angles) * y + np.cos(angles) * x)[..., None] / np.sqrt(8) + 0.5  # √8: from corner to corner
    return np.asarray(np.rint(ends[0] + share * (ends[1] - ends[0])), np.uint8)


def blobs(chance: np.random.Generator, count: int, side: int) -> Pixels:
    """Soft shapes of any colours, from an eighth of the side on, each channel from black to white."""
    fields = chance.standard_normal((count, side, side, 3))
    fields = ndimage.gaussian_filter(fields, side / 8, axes=(1, 2), mode="wrap")
    fields -= fields.min(axis=(1, 2), keepdims=True)
    return np.asarray(np.rint(255 * fields / fields.max(axis=(1, 2), keepdims=True)), np.uint8)


KINDS: dict[str, Callable[[np.random.Generator, int, int], Pixels]] = {
    "noise": noise,
    "blank": blank,
    "gradient": gradient,
    "blobs": blobs,
}


def draw(kind: str, side: int, count: int = COUNT, seed: int = 0) -> Pixels:
    """(count, side, side, 3): pictures of one of KINDS, the same for the same arguments."""
    return KINDS[kind](np.random.default_rng([seed, list(KINDS).index(kind)]), count, side)


def auroc(known: NDArray[np.float64], foreign: NDArray[np.float64]) -> float:
    """How probably a known image scores higher than a foreign one; a tie counts half (Mann and Whitney 1947)."""
    ranks = rankdata(np.concatenate([known, foreign]))[: len(known)]
    return float((ranks.mean() - (len(known) + 1) / 2) / len(foreign))
