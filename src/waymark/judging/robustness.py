"""How often a model is right about corrupted images (judging/corruptions), at the size that it sees."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from waymark.judging.corruptions import SEVERITIES, corrupt

AT_A_TIME = 2**21  # pixels that are corrupted at a time; their copies take some 200 MB

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def spread(labels: NDArray[np.int64], groups: NDArray[np.generic], count: int) -> NDArray[np.int64]:
    """Places of `count` images, evenly over classes and, in each, over groups; of all where that is 0 or too many.

    Every so-and-so-many-th image of those in order, so that classes keep their shares (systematic sampling).
    """
    if not 0 < count < len(labels):
        return np.arange(len(labels))
    in_order = np.lexsort((np.unique(groups, return_inverse=True)[1], labels))
    return np.sort(in_order[np.arange(count) * len(labels) // count])


def accuracies(
    logits: Logits,
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    corruptions: Iterable[str],
) -> pd.DataFrame:
    """The columns corruption, severity and accuracy, one row for each corruption and severity.

    `images`, (N, S, S, 3), are prepared ones, so that colour and equalisation come before the corruption; `rows` are
    their places in the split.
    """
    cases = [(name, severity) for name in corruptions for severity in SEVERITIES]
    step = max(AT_A_TIME // images[0, :, :, 0].size, 1)
    found = []
    for name, severity in tqdm(cases, "corruptions", disable=None):
        right = 0
        for start in range(0, len(images), step):
            part = slice(start, start + step)
            answers = logits(corrupt(images[part], rows[part], name, severity)).argmax(axis=1)
            right += int((answers == labels[part]).sum())
        found.append((name, severity, right / len(images)))
    return pd.DataFrame(found, columns=["corruption", "severity", "accuracy"])


def by_corruption(table: pd.DataFrame) -> "pd.Series[float]":
    """The mean accuracy over the severities of each corruption, the worst first."""
    return table.groupby("corruption", sort=False)["accuracy"].mean().sort_values(kind="stable")


def figures(table: pd.DataFrame) -> dict[str, float]:
    """For reports/metrics.json: the mean over all corruptions and severities, and that of the worst corruption."""
    means = by_corruption(table)
    return {
        "corruption_accuracy": round(float(means.mean()), 6),
        "worst_corruption_accuracy": round(float(means.iloc[0]), 6),
    }
