"""Corruptions that weather and light make."""

import numpy as np
from numpy.typing import NDArray

from waymark.judging.corruptions.blur import along, apply, gaussian, stretch, zooming
from waymark.judging.corruptions.chance import Chance

Images = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
ICE = np.array([0.86, 0.95, 1.0], np.float32)
WATER = np.array([175, 238, 238], np.float32) / 255  # pale turquoise
MUD = np.array([63, 42, 20], np.float32) / 255


def snow(images: Images, severity: int, chance: Chance) -> Images:
    mean, spread, zoom, least, radius, sigma, colour = (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    )[severity - 1]
    length, side = stretch(images), images.shape[1]
    flakes = mean + spread * chance.normal((side, side, 1))
    flakes = apply(zooming(side, zoom * length), flakes.astype(np.float32))
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1).astype(np.float32)
    flakes = along(flakes, np.radians(chance.uniform(-135, -45, ())), sigma * length, 2 * radius * length)
    paler = np.maximum(images, (images @ LUMA)[..., None] * 1.5 + 0.5)
    return np.asarray(colour * images + (1 - colour) * paler + flakes + flakes[:, ::-1, ::-1], np.float32)


def frost(images: Images, severity: int, chance: Chance) -> Images:
    kept, covered = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[severity - 1]
    crystals = 1 - np.abs(2 * plasma(chance, images.shape[1], 1.75) - 1)  # bright needles with dark gaps
    return np.asarray(kept * images + covered * crystals[..., None] * ICE, np.float32)


def fog(images: Images, severity: int, chance: Chance) -> Images:
    thickness, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    foggy = images + np.float32(thickness) * plasma(chance, images.shape[1], decay)[..., None]
    return np.asarray(foggy * brightest / (brightest + thickness), np.float32)


def brightness(images: Images, severity: int, chance: Chance) -> Images:
    """More of HSV's value, at the same hue and saturation; black becomes grey."""
    value = images.max(axis=3, keepdims=True)
    brighter = np.minimum(value + np.float32((0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]), 1)
    return np.asarray(np.where(value > 0, images * brighter / np.maximum(value, 1e-6), brighter), np.float32)


def spatter(images: Images, severity: int, chance: Chance) -> Images:
    mean, spread, sigma, least, strength, mud = (
        (0.62, 0.1, 0.7, 0.7, 0.5, False),
        (0.65, 0.1, 0.8, 0.7, 0.5, False),
        (0.65, 0.3, 1, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    )[severity - 1]
    length, side = stretch(images), images.shape[1]
    # A wider bell flattens the noise, which is therefore stronger by as much.
    liquid = mean + spread * length * chance.normal((side, side, 1))
    drops = (gaussian(liquid.astype(np.float32), sigma * length) > least).astype(np.float32)
    drops = gaussian(drops, (strength if mud else 1) * length)
    if mud:
        drops = np.where(drops < 0.8, np.float32(0), drops)
        return np.asarray(images * (1 - drops) + drops * MUD, np.float32)
    deepest = np.maximum(drops.max(axis=(1, 2, 3), keepdims=True), np.float32(1e-6))
    return np.asarray(images + strength * drops / deepest * WATER, np.float32)


def plasma(chance: Chance, side: int, decay: float) -> Images:
    """Clouds, (N, S, S) in [0, 1], by the diamond-square algorithm; the larger `decay`, the smoother."""
    step = 1 << (side - 1).bit_length()
    field = np.zeros((len(chance.generators), step, step), np.float32)
    height = 100.0

    def displaced(around: Images) -> Images:
        return around / np.float32(4) + chance.uniform(-(height**2), height**2, around.shape[1:])

    while step > 1:
        half = step // 2
        corners = field[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        field[:, half::step, half::step] = displaced(pairs + np.roll(pairs, -1, axis=2))
        middles = field[:, half::step, half::step]
        above, left = (middles + np.roll(middles, 1, axis=axis) for axis in (1, 2))
        field[:, ::step, half::step] = displaced(above + corners + np.roll(corners, -1, axis=2))
        field[:, half::step, ::step] = displaced(left + corners + np.roll(corners, -1, axis=1))
        step, height = half, height / decay
    field -= field.min(axis=(1, 2), keepdims=True)
    return np.asarray(field / field.max(axis=(1, 2), keepdims=True), np.float32)[:, :side, :side]
