"""Augmentation of whole batches as tensors.

Each image's random numbers are a pure function of (seed, epoch, index), so that neither the batch size, nor the number
of processes, nor a resumed run changes what an image looks like in an epoch.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

DRAWS = 9  # rotation, scale, two shifts, shear, aspect, brightness, contrast, flip


@dataclass(frozen=True)
class Augmentation:
    """Largest change of each kind; 0 everywhere leaves images as they are."""

    rotation: float  # degrees either way
    scale: float  # share of the size
    shift: float  # share of the side, each axis
    shear: float  # degrees either way
    light: float  # share of brightness and of contrast
    flip: bool = False  # half of the images are mirrored, left to right

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Change (N, 3, S, S) normalised images by `draws`, (N, DRAWS) in [-1, 1)."""
        grid = F.affine_grid(self.matrices(draws), list(images.shape), align_corners=False)
        # The border repeats: zeros would tell the network where the image ends.
        warped = F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)
        return self.relight(warped, draws)

    def matrices(self, draws: Tensor) -> Tensor:
        """(N, 2, 3) maps from output to input coordinates, where the image spans [-1, 1]."""
        angle, shear = draws[:, 0] * np.deg2rad(self.rotation), torch.tan(draws[:, 4] * np.deg2rad(self.shear))
        # Aspect varies by a quarter of the scale's share: signs are seen at an angle, not squashed.
        width = 1 + self.scale * (draws[:, 1] + 0.25 * draws[:, 5])
        height = 1 + self.scale * (draws[:, 1] - 0.25 * draws[:, 5])
        cosine, sine = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([cosine * width, (shear * cosine - sine) * height, 2 * self.shift * draws[:, 2]], dim=1),
            torch.stack([sine * width, (shear * sine + cosine) * height, 2 * self.shift * draws[:, 3]], dim=1),
        ]
        maps = torch.stack(rows, dim=1)
        if self.flip:
            maps[:, 0] *= torch.where(draws[:, 8] < 0, -1.0, 1.0).view(-1, 1)
        return maps

    def relight(self, images: Tensor, draws: Tensor) -> Tensor:
        """Scale each image's contrast around its own mean and move its brightness, both in units of its spread."""
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        contrast = 1 + self.light * draws[:, 7].view(-1, 1, 1, 1)
        brightness = self.light * draws[:, 6].view(-1, 1, 1, 1)
        return (images - mean) * contrast + mean + brightness


def draws(seed: int, epoch: int, count: int) -> NDArray[np.float32]:
    """The random numbers of `count` images in one epoch: (count, DRAWS) in [-1, 1), row = index."""
    generator = np.random.default_rng([seed, epoch, 1])
    return generator.random((count, DRAWS), dtype=np.float32) * 2 - 1


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `count` images."""
    return np.random.default_rng([seed, epoch, 0]).permutation(count)
