"""How much a split flatters: what memory alone would answer.

A nearest neighbour learns nothing; it is right on a val image only where training holds one that looks like it. The
more a careless split raises it, the more of a network's val accuracy under that split would be memory, too.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark.datasets.near_duplicates import standardised

SAMPLE = 2000  # val images asked for; the standard error of an accuracy is then 1.1 % at most
BLOCK = 500  # val images compared at once: 100 MB at 50,000 training images


def nearest_neighbour_accuracy(
    thumbnails: NDArray[np.uint8], labels: NDArray[np.int64], splits: pd.Series, seed: int
) -> float:
    """The share of val images whose most correlated training image has their label; NaN without either.

    `thumbnails` is (N, samples); at most SAMPLE val images are asked for, drawn with `seed`.
    """
    train, val = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")
    if not len(train) or not len(val):
        return float("nan")
    asked = np.sort(np.random.default_rng(seed).permutation(val)[:SAMPLE])
    known = standardised(thumbnails[train])
    right = 0
    for start in range(0, len(asked), BLOCK):
        block = asked[start : start + BLOCK]
        nearest = train[(standardised(thumbnails[block]) @ known.T).argmax(axis=1)]
        right += int((labels[nearest] == labels[block]).sum())
    return round(right / len(asked), 6)
