"""How long a model takes for one image, on the machine that asks."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from waymark.predictor import Predictor

WARM = 10  # calls that are not timed: the first ones allocate
CALLS = 200
PATIENCE = 2.0  # seconds for each model, after which the median of fewer calls has to do …
LEAST = 11  # … but not of fewer than these


@dataclass(frozen=True)
class Latency:
    milliseconds: float  # median
    calls: int


def measure(predictors: Sequence[Predictor]) -> list[Latency]:
    """The median time of one prepared image through each of `predictors`, normalisation included.

    They take turns, so that what else the machine does meanwhile slows all of them alike.
    """
    images = [np.zeros((1, each.contract.image_size, each.contract.image_size, 3), np.uint8) for each in predictors]
    seconds: list[list[float]] = [[] for _ in predictors]
    end = time.perf_counter() + PATIENCE * len(predictors)
    for call in range(WARM + CALLS):
        for predictor, image, times in zip(predictors, images, seconds, strict=True):
            began = time.perf_counter()
            predictor.logits(image)
            if call >= WARM:
                times.append(time.perf_counter() - began)
        if call >= WARM + LEAST - 1 and time.perf_counter() > end:
            break
    return [Latency(round(1000 * statistics.median(times), 3), len(times)) for times in seconds]
