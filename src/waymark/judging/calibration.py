"""Temperature scaling (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

RANGE = (0.05, 20.0)  # beyond it a model is not miscalibrated but broken


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] that makes `logits`, (N, classes), most likely; rounded to four decimals.

    Each target is (N + 1) / (N + 2) for the label, the rest spread over the other classes (Platt 1999, section 2.2):
    where every val image is right, a target of 1 would call the model certain of everything.
    """
    wide = logits.astype(np.float64)
    count, classes = wide.shape
    targets = np.full((count, classes), 1 / (count + 2) / (classes - 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def cross_entropy(log_temperature: float) -> float:
        return float(-(targets * log_softmax(wide / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    found = minimize_scalar(cross_entropy, bounds=np.log(RANGE), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 4)
