"""Corruptions that change each pixel by itself."""

import numpy as np
from numpy.typing import NDArray

from waymark.judging.corruptions.chance import Chance

Images = NDArray[np.float32]


def gaussian_noise(images: Images, severity: int, chance: Chance) -> Images:
    spread = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    return images + np.float32(spread) * chance.normal(images.shape[1:])


def shot_noise(images: Images, severity: int, chance: Chance) -> Images:
    photons = np.float32((500, 250, 100, 75, 50)[severity - 1])  # that white counts
    return np.asarray(chance.poisson(images * photons) / photons, np.float32)


def impulse_noise(images: Images, severity: int, chance: Chance) -> Images:
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    drawn = chance.uniform(0, 1, images.shape[1:])
    return np.where(drawn < share / 2, np.float32(0), np.where(drawn < share, np.float32(1), images))


def speckle_noise(images: Images, severity: int, chance: Chance) -> Images:
    spread = (0.06, 0.1, 0.12, 0.16, 0.2)[severity - 1]
    return images + images * np.float32(spread) * chance.normal(images.shape[1:])
