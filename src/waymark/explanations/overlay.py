"""A heat map over the image that it explains."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The upper part of Matplotlib's inferno: brighter is hotter, for those who see no colours, too.
SHARES = (0.0, 0.35, 0.7, 1.0)  # of the strongest heat
COLOURS = np.array([(87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)
OPACITY = 0.65  # of the strongest heat; what lies under it can still be told


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32], strongest: float, side: int) -> NDArray[np.uint8]:
    """`image` (S, S, 3) in grey, `heat` (S, S) in colour over it: (side, side, 3).

    `strongest` is the heat that is drawn the brightest; pictures with the same one can be compared. The image is grey
    so that red and yellow are never its own.
    """
    grey = Image.fromarray(image).convert("L").resize((side, side), Image.Resampling.NEAREST)
    share = np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BILINEAR), np.float64)
    share = (share / strongest).clip(0, 1) if strongest > 0 else np.zeros_like(share)
    opacity = OPACITY * (share / SHARES[1]).clip(0, 1)[..., None]
    return np.asarray((np.asarray(grey)[..., None] * (1 - opacity) + colours(share) * opacity).round(), np.uint8)


def colours(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colour of each share of the strongest heat: (…, 3), from 0 to 255."""
    return np.stack([np.interp(share, SHARES, channel) for channel in COLOURS.T], axis=-1)
