"""The common corruptions of Hendrycks and Dietterich 2019 (https://arxiv.org/abs/1903.12261), for images of any size.

Their strengths are the published ones of CIFAR-10-C, made for 32 px (ImageNet-C/create_c/make_cifar_c.py at
https://github.com/hendrycks/robustness); those of ImageNet-C, which the libraries have, leave nothing of so small an
image. Lengths in pixels grow with the side beyond 32 px. Whole batches are corrupted at once, and each image the same
way in any batch. Frost is drawn, where theirs is photographed, and spatter has no rims: figures for those two do not
compare with published ones, the others do roughly.
"""

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from waymark.judging.corruptions import blur, digital, noise, weather
from waymark.judging.corruptions.chance import Chance

SEVERITIES = (1, 2, 3, 4, 5)

# (N, S, S, 3) float32 in [0, 1], the severity and each image's random numbers to the same, which may leave the range.
Corruption = Callable[[NDArray[np.float32], int, Chance], NDArray[np.float32]]

TEST: dict[str, Corruption] = {  # a model is judged by these, and never chosen
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
VALIDATION: dict[str, Corruption] = {  # held out of the test, so that augmentation can be chosen by them, on val
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "spatter": weather.spatter,
    "saturate": digital.saturate,
}


def corrupt(
    images: NDArray[np.uint8], rows: NDArray[np.int64], corruption: str, severity: int, seed: int = 0
) -> NDArray[np.uint8]:
    """`images`, (N, S, S, 3), corrupted; `rows` are their places in the split.

    The result is a function of the image, its row, the corruption's name, the severity (1 to 5) and the seed.
    """
    change = (TEST | VALIDATION)[corruption]
    chance = Chance([[seed, zlib.crc32(corruption.encode()), severity, int(row)] for row in rows])
    changed = change(images.astype(np.float32) / np.float32(255), severity, chance)
    return np.asarray(np.rint(np.clip(changed, 0, 1) * 255), np.uint8)
