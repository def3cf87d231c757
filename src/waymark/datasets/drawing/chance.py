"""Random numbers for drawn pictures: the same on every machine and with every version of NumPy.

They are made of PCG64's raw 64-bit words, which NumPy promises never to change (NEP 19), unlike its distributions.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

NOISE = 148  # √(4 · (256² − 1) / 12), rounded


class Chance:
    """One stream of random numbers; another `seed` is another, independent stream (zeros at its end do not count)."""

    def __init__(self, *seed: int) -> None:
        self._words = np.random.PCG64(np.random.SeedSequence(seed))

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * ((int(self._words.random_raw()) >> 11) * 2.0**-53)

    def happens(self, probability: float) -> bool:
        return self.uniform(0, 1) < probability

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self._words.random_raw()) % len(choices)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        keys = [int(self._words.random_raw()) for _ in items]
        return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]

    def noise(self, shape: tuple[int, ...]) -> NDArray[np.int32]:
        """Bell-shaped whole numbers, mean 0, standard deviation NOISE: four random bytes each, summed and centred."""
        count = math.prod(shape)
        words = np.asarray(self._words.random_raw((count + 1) // 2), np.uint64).astype("<u8")
        sums = words.view(np.uint8).reshape(-1, 4)[:count].sum(axis=1, dtype=np.int32)
        return np.asarray(sums - 510).reshape(shape)


class Drift:
    """A quantity that changes evenly from the first frame of a track to the last."""

    def __init__(self, chance: Chance, low: float, high: float, change: float) -> None:
        self._start = chance.uniform(low, high)
        self._change = chance.uniform(-change, change)

    def at(self, progress: float) -> float:
        return self._start + self._change * progress
