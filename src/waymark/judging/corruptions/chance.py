"""The random numbers of a batch of images, from one generator for each image."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


class Chance:
    """Each draw gives (N, *shape); what an image gets does not depend on the others in its batch."""

    def __init__(self, seeds: Iterable[Sequence[int]]) -> None:
        self.generators = [np.random.default_rng(seed) for seed in seeds]

    def uniform(self, low: float, high: float, shape: Shape) -> NDArray[np.float32]:
        drawn = np.stack([generator.random(shape, np.float32) for generator in self.generators])
        return drawn * np.float32(high - low) + np.float32(low)

    def normal(self, shape: Shape) -> NDArray[np.float32]:
        return np.stack([generator.standard_normal(shape, np.float32) for generator in self.generators])

    def integers(self, low: int, high: int, shape: Shape) -> NDArray[np.int64]:
        """From `low` up to, not including, `high`."""
        return np.stack([generator.integers(low, high, shape) for generator in self.generators])

    def poisson(self, means: NDArray[np.float32]) -> NDArray[np.int64]:
        """One number for each of `means`, (N, …)."""
        return np.stack([generator.poisson(mean) for generator, mean in zip(self.generators, means, strict=True)])
