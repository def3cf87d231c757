"""Corruptions that mix each pixel with its neighbours, and the blurs that others are made of."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from waymark.judging.corruptions.chance import Chance

Images = NDArray[np.float32]  # (N, S, S, channels)

FAINTEST = 1e-3  # weights under it are left out: no eight-bit pixel shows them


def stretch(images: Images) -> float:
    """What lengths for 32 px are multiplied by; never less than 1, for a blur of under a pixel would be none."""
    return max(int(images.shape[1]) / 32, 1.0)


def gaussian(images: Images, sigma: float) -> Images:
    return np.asarray(ndimage.gaussian_filter(images, sigma, axes=(1, 2), mode="nearest"), np.float32)


def along(images: Images, angles: NDArray[np.float32], sigma: float, longest: float) -> Images:
    """Smear each image in its own direction (radians), half a Gaussian bell wide, as ImageMagick's motion blur does."""
    steps = np.arange(int(longest) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights = weights[weights > FAINTEST] / weights.sum()
    rows, columns = np.indices(images.shape[1:3])
    number, last = np.arange(len(images))[:, None, None], images.shape[1] - 1
    smeared = np.zeros_like(images)
    for step, weight in zip(steps, weights, strict=False):
        down, right = (np.rint(step * turn(angles)).astype(int)[:, None, None] for turn in (np.sin, np.cos))
        place = np.clip(rows + down, 0, last), np.clip(columns + right, 0, last)
        smeared += np.float32(weight) * images[number, *place]
    return smeared


def zooming(side: int, zoom: float) -> sparse.csr_array:
    """What zooms into the middle of an image by `zoom`, 1 or more: (S², S²), by linear interpolation."""
    middle = (side - 1) / 2
    source = (np.arange(side) - middle) / zoom + middle
    low = np.minimum(source.astype(int), side - 2)
    weights, places = np.concatenate([1 - source + low, source - low]), np.concatenate([low, low + 1])
    line = sparse.csr_array((weights.astype(np.float32), (np.tile(np.arange(side), 2), places)), (side, side))
    return sparse.csr_array(sparse.kron(line, line))


def apply(operator: sparse.csr_array, images: Images) -> Images:
    """Each channel of each image times `operator`, (S², S²): a sparse product, the same with any number of threads."""
    count, side, _, channels = images.shape
    columns = images.reshape(count, side * side, channels).transpose(1, 0, 2).reshape(side * side, -1)
    product = np.asarray(operator @ columns).reshape(side * side, count, channels)
    return np.asarray(product.transpose(1, 0, 2).reshape(images.shape), np.float32)


def gaussian_blur(images: Images, severity: int, chance: Chance) -> Images:
    return gaussian(images, (0.4, 0.6, 0.7, 0.8, 1)[severity - 1] * stretch(images))


def defocus_blur(images: Images, severity: int, chance: Chance) -> Images:
    radius, softness = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[severity - 1]
    radius, softness, rim = radius * stretch(images), softness * stretch(images), round(stretch(images))
    reach = int(radius) + rim
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    kernel = ndimage.gaussian_filter(disk / disk.sum(), softness, radius=rim, mode="constant")
    return np.asarray(ndimage.correlate(images, kernel[None, :, :, None], mode="mirror"), np.float32)


def glass_blur(images: Images, severity: int, chance: Chance) -> Images:
    sigma, passes = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[severity - 1]
    sigma, reach = sigma * stretch(images), int(stretch(images))
    side, number = images.shape[1], np.arange(len(images))
    pixels = np.tile(np.arange(side * side).reshape(side, side, 1), len(images))  # where each comes from: (S, S, N)
    visited = range(side - reach, reach, -1)
    moves = chance.integers(-reach, reach, (passes, len(visited), len(visited), 2))
    for each in range(passes):  # one pixel after the other changes places with one nearby, in all images at once
        for i, y in enumerate(visited):
            for j, x in enumerate(visited):
                other = y + moves[:, each, i, j, 0], x + moves[:, each, i, j, 1], number
                here = pixels[y, x].copy()
                pixels[y, x] = pixels[other]
                pixels[other] = here
    blurred = gaussian(images, sigma).reshape(len(images), side * side, -1)
    shuffled = blurred[number, pixels].transpose(2, 0, 1, 3)
    return gaussian(shuffled, sigma)


def motion_blur(images: Images, severity: int, chance: Chance) -> Images:
    radius, sigma = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))[severity - 1]
    angles = np.radians(chance.uniform(-45, 45, ()))
    return along(images, angles, sigma * stretch(images), 2 * radius * stretch(images))


def zoom_blur(images: Images, severity: int, chance: Chance) -> Images:
    zooms = np.arange(1, (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1], 0.01)
    side = images.shape[1]
    layers = [zooming(side, 1.0), *(zooming(side, zoom) for zoom in zooms)]
    return apply(sum(layers[1:], start=layers[0]) / len(layers), images)
