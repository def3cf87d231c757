"""Corruptions that cameras, files and screens make."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from waymark.judging.corruptions.chance import Chance

Images = NDArray[np.float32]


def contrast(images: Images, severity: int, chance: Chance) -> Images:
    kept = np.float32((0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1])
    means = images.mean(axis=(1, 2), keepdims=True)
    return np.asarray((images - means) * kept + means, np.float32)


def saturate(images: Images, severity: int, chance: Chance) -> Images:
    """More or less of HSV's saturation, at the same hue and value; greys have the hue of red."""
    factor, offset = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]
    value = images.max(axis=3, keepdims=True)
    missing = 1 - images / np.maximum(value, np.float32(1e-6))  # from each channel to the brightest, in its shares
    saturation = missing.max(axis=3, keepdims=True)
    hue = np.where(saturation > 0, missing / np.maximum(saturation, np.float32(1e-6)), np.array([0, 1, 1], np.float32))
    return np.asarray(value * (1 - hue * np.clip(saturation * factor + offset, 0, 1)), np.float32)


def elastic_transform(images: Images, severity: int, chance: Chance) -> Images:
    """A random affine map, then displacements that are alike nearby; lengths are shares of the side."""
    shares = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
    count, side = images.shape[:2]
    push, sigma, shift = (share * side for share in shares[severity - 1])
    middle, third = side // 2, side // 3
    corners = np.array([[third, third], [third, -third], [-third, -third]], np.float32) + middle
    moved = corners + chance.uniform(-shift, shift, (3, 2))
    # As row vectors (y, x, 1), from where the corners come out back to where they were.
    back = np.linalg.solve(np.concatenate([moved, np.ones((count, 3, 1))], axis=2), corners[None])
    y, x = np.indices((side, side))
    source = np.stack([y, x, np.ones_like(y)], axis=2).reshape(1, -1, 3) @ back
    images = _sample(images, *source.reshape(count, side, side, 2).transpose(3, 0, 1, 2))
    wild = chance.uniform(-1, 1, (2, side, side))
    down, right = push * ndimage.gaussian_filter(wild, sigma, axes=(2, 3), truncate=3).transpose(1, 0, 2, 3)
    return _sample(images, y + down, x + right)


def pixelate(images: Images, severity: int, chance: Chance) -> Images:
    side = images.shape[1]
    fewer = int(side * (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1])

    def coarse(image: Image.Image) -> Image.Image:
        small = image.resize((fewer, fewer), Image.Resampling.BOX)
        return small.resize((side, side), Image.Resampling.BOX)

    return _each(images, coarse)


def jpeg_compression(images: Images, severity: int, chance: Chance) -> Images:
    quality = (80, 65, 58, 50, 40)[severity - 1]

    def lossy(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file, formats=("JPEG",))

    return _each(images, lossy)


def _each(images: Images, change: Callable[[Image.Image], Image.Image]) -> Images:
    """What works on Pillow's images, on each of them; they came from eight bits, so that nothing is lost."""
    pixels = np.rint(images * 255).astype(np.uint8)
    changed = np.stack([np.asarray(change(Image.fromarray(image))) for image in pixels])
    return changed.astype(np.float32) / np.float32(255)


def _sample(images: Images, y: NDArray[np.float64], x: NDArray[np.float64]) -> Images:
    """The images at the places y and x, (N, S, S) each, by linear interpolation; beyond the edge they are mirrored."""
    last = images.shape[1] - 1
    y, x = (last - np.abs(np.abs(place) % (2 * last) - last) for place in (y, x))
    top, left = (np.minimum(place.astype(int), last - 1) for place in (y, x))
    down, right = ((place - low)[..., None].astype(np.float32) for place, low in ((y, top), (x, left)))
    number = np.arange(len(images))[:, None, None]
    upper, lower = (
        images[number, row, left] * (1 - right) + images[number, row, left + 1] * right for row in (top, top + 1)
    )
    return np.asarray(upper * (1 - down) + lower * down, np.float32)
