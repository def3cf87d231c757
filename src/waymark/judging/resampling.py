"""The bootstrap by group: how far a figure could lie elsewhere if other tracks, or other images, had been tested.

The frames of one track are right or wrong together, so that whole groups are drawn, not images: 30 frames of one sign
are hardly more evidence than one. Two models' figures are drawn together, so that what both find hard cancels out.
Intervals are percentiles of the resampled figures, which accuracies, minima and calibration errors all have, and which
need no symmetry. With few groups they are too narrow, and are taken further out: the expanded percentile interval of
Hesterberg 2015 (https://arxiv.org/abs/1411.5279).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

CONFIDENCE = 0.95
FEWEST = 6  # groups; five of five one way are chance more than one time in 20, however many images they hold
CELLS = 2**21  # numbers in memory at a time; in larger pieces it is no quicker

Interval = tuple[float, float]


def draws(groups: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """How often each of `groups` is drawn in each of `resamples`, (resamples, groups) in pieces; the same each time.

    It depends on nothing else, so that with old and new exchanged a difference has the same interval, mirrored.
    """
    generator = np.random.default_rng(0)
    rows = max(CELLS // groups, 1)
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), groups)
        drawn = generator.integers(0, groups, shape) + groups * np.arange(shape[0])[:, np.newaxis]
        yield np.bincount(drawn.ravel(), minlength=shape[0] * groups).reshape(shape)


def interval(resampled: NDArray[np.float64], groups: int) -> Interval:
    """The 95 % interval from the resampled figures; at least `FEWEST` groups, for fewer tell nothing about others."""
    tail = float(norm.cdf(-np.sqrt(groups / (groups - 1)) * t.ppf((1 + CONFIDENCE) / 2, groups - 1)))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)
