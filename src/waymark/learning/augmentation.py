"""Augmentation of whole batches as tensors.

Each image's random numbers are a pure function of (seed, epoch, index), so that neither the batch size, nor the number
of processes, nor a resumed run changes what an image looks like in an epoch.
"""

from dataclasses import dataclass
from enum import IntEnum, auto
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from waymark.learning import outliers


class Draw(IntEnum):
    """What each of an image's random numbers decides."""

    ROTATION = 0
    SCALE = auto()
    SHIFT_X = auto()
    SHIFT_Y = auto()
    SHEAR = auto()
    ASPECT = auto()
    BRIGHTNESS = auto()
    CONTRAST = auto()
    MIRROR = auto()
    RED = auto()
    GREEN = auto()
    BLUE = auto()
    BLUR = auto()
    NOISE = auto()
    TEXTURE = auto()
    OUTLIER = auto()
    TILE = auto()  # the first of one number for each tile of a shuffled image


DRAWS = Draw.TILE + outliers.SHUFFLES
BRIGHTEST = 0.4  # of the whole range from black to white: how far `light` = 1 would move an image's mean
# A blurred image is averaged over cells of so many pixels, rows and columns: out of focus, or moved during exposure.
CELLS = ((2, 2), (3, 3), (4, 4), (1, 4), (4, 1))
TEXTURES = 64  # fields of noise that are drawn from
NOISY = 0.5  # share of the images that get noise; the others stay clean


@dataclass(frozen=True)
class Augmentation:
    """Largest change of each kind; the defaults leave images as they are."""

    rotation: float = 0  # degrees either way
    zoom_out: float = 0  # share by which every image shows more, its border repeated
    scale: float = 0  # share of the size
    aspect: float = 1  # largest ratio of the two sides; of most images much less
    shift: float = 0  # share of the side, each axis
    shear: float = 0  # degrees either way
    light: float = 0  # contrast between (1 - light) and 1 / (1 - light) times; brightness by BRIGHTEST of it
    colour: float = 0  # share of each channel's brightness
    blur: float = 0  # share of the images that are blurred
    noise: float = 0  # largest standard deviation of noise, as a share of the range from black to white
    outliers: float = 0  # share of the images that become pictures of no class
    mirrored: tuple[int, ...] = ()  # class of each class's mirror image, -1 where that is no class; () mirrors none

    @torch.no_grad()
    def __call__(self, images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Change (N, 3, S, S) images in [0, 1] and their labels (N,) by `draws`, (N, DRAWS) in [-1, 1).

        The label of a picture of no class is outliers.NO_CLASS.
        """
        if self.mirrored:
            images, labels = self._mirror(images, labels, draws[:, Draw.MIRROR])
        if self.blur:
            images = self._blur(images, draws[:, Draw.BLUR])
        grid = F.affine_grid(self.matrices(draws), list(images.shape), align_corners=False)
        # The border repeats: zeros would tell the network where the image ends.
        warped = F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)
        changed = self.relight(warped, draws)
        if self.outliers:
            changed, labels = self._outliers(changed, labels, draws)
        return changed.clamp_(0, 1), labels  # what a camera cannot hold is black or white

    def _mirror(self, images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        others = torch.tensor(self.mirrored, device=labels.device)[labels]
        turned = (draws < 0) & (others >= 0)
        return torch.where(turned.view(-1, 1, 1, 1), images.flip(3), images), torch.where(turned, others, labels)

    def _blur(self, images: Tensor, draws: Tensor) -> Tensor:
        """Average a share of the images over cells and smooth the cells out again."""
        kinds = ((draws + 1) / 2 / self.blur * len(CELLS)).floor()
        images, side = images.clone(), images.shape[-1]
        for kind, (rows, columns) in enumerate(CELLS):
            here = (kinds == kind).nonzero().flatten()
            if len(here):
                size = (max(round(side / rows), 1), max(round(side / columns), 1))
                coarse = F.interpolate(images[here], size=size, mode="area")
                images[here] = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
        return images

    def matrices(self, draws: Tensor) -> Tensor:
        """(N, 2, 3) maps from output to input coordinates, where the image spans [-1, 1]."""
        angle = draws[:, Draw.ROTATION] * np.deg2rad(self.rotation)
        shear = torch.tan(draws[:, Draw.SHEAR] * np.deg2rad(self.shear))
        size = 1 + self.zoom_out + self.scale * draws[:, Draw.SCALE]
        # The cube: most signs are seen from nearly in front, a few very much from the side.
        narrower = self.aspect ** (draws[:, Draw.ASPECT] ** 3 / 2)
        width, height = size * narrower, size / narrower
        x, y = 2 * self.shift * draws[:, Draw.SHIFT_X], 2 * self.shift * draws[:, Draw.SHIFT_Y]
        cosine, sine = torch.cos(angle), torch.sin(angle)
        rows = [
            torch.stack([cosine * width, (shear * cosine - sine) * height, x], dim=1),
            torch.stack([sine * width, (shear * sine + cosine) * height, y], dim=1),
        ]
        return torch.stack(rows, dim=1)

    def relight(self, images: Tensor, draws: Tensor) -> Tensor:
        """Change contrast around each image's own mean, then brightness, the channels' balance, and add noise."""
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        contrast = (1 - self.light) ** draws[:, Draw.CONTRAST].view(-1, 1, 1, 1)
        brightness = BRIGHTEST * self.light * draws[:, Draw.BRIGHTNESS].view(-1, 1, 1, 1)
        lit = (images - mean) * contrast + (mean + brightness)
        if self.colour:
            lit = lit * (1 + self.colour * draws[:, Draw.RED : Draw.BLUE + 1].reshape(-1, 3, 1, 1))
        if self.noise:
            # From -1 to 0 none, then ever more; the sign of a texture is worth nothing, so it is not drawn.
            strength = self.noise * (draws[:, Draw.NOISE] + 2 * NOISY - 1).clamp(min=0) / (2 * NOISY)
            lit = lit + strength.view(-1, 1, 1, 1) * self._textures(images, draws)
        return lit

    def _textures(self, images: Tensor, draws: Tensor) -> Tensor:
        which = ((draws[:, Draw.TEXTURE] + 1) / 2 * TEXTURES).long().clamp(0, TEXTURES - 1)
        return textures(images.shape[-1]).to(images.device)[which]

    def _outliers(self, images: Tensor, labels: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        chosen = (draws[:, Draw.OUTLIER] + 1) / 2 < self.outliers
        images, labels = images.clone(), labels.masked_fill(chosen, outliers.NO_CLASS)
        shuffle = draws[:, Draw.MIRROR] < 0  # mirrored or not is all the same to a shuffled one
        here = (chosen & shuffle).nonzero().flatten()
        images[here] = outliers.shuffled(images[here], draws[here, Draw.TILE :])
        here = (chosen & ~shuffle).nonzero().flatten()
        drawn = draws[here]
        strength = (drawn[:, Draw.NOISE] + 1) / 2
        colours = (drawn[:, Draw.RED : Draw.BLUE + 1] + 1) / 2
        images[here] = outliers.clouded(colours, strength, self._textures(images[here], drawn))
        return images, labels


@lru_cache(maxsize=4)
def textures(side: int) -> Tensor:
    """(TEXTURES, 3, side, side) noise of mean 0 and spread 1, from grain (white) to clouds and shadows (1/f²).

    The second half is grey. After the spectral primitives of PRIME (Modas et al. 2022, arXiv:2112.13547).
    """
    generator = np.random.default_rng(0)
    white = generator.standard_normal((TEXTURES, 3, side, side))
    white[TEXTURES // 2 :] = white[TEXTURES // 2 :, :1]
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    slope = np.tile(np.linspace(0, 2, TEXTURES // 2), 2)[:, None, None, None]
    coloured = np.fft.irfft2(np.fft.rfft2(white) / np.maximum(frequency, 1) ** slope, s=(side, side))
    coloured -= coloured.mean(axis=(2, 3), keepdims=True)
    coloured /= coloured.std(axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy(coloured.astype(np.float32))


def draws(seed: int, epoch: int, count: int) -> NDArray[np.float32]:
    """The random numbers of `count` images in one epoch: (count, DRAWS) in [-1, 1), row = index."""
    generator = np.random.default_rng([seed, epoch, 1])
    return generator.random((count, DRAWS), dtype=np.float32) * 2 - 1


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order in which an epoch visits `count` images."""
    return np.random.default_rng([seed, epoch, 0]).permutation(count)
