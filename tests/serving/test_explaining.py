"""The heat map is red where covering the image costs the class its probability, and nowhere else."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from waymark.serving import explaining
from waymark.serving.explaining import POSITIONS, SHOWN_SIZE

SIZE = 48
GREY = 90
SPOT = (slice(8, 12), slice(30, 34))  # rows, columns


def spotted() -> NDArray[np.uint8]:
    """Grey, with one white spot, which is all that `probability` looks for."""
    image = np.full((SIZE, SIZE, 3), GREY, np.uint8)
    image[SPOT] = 255
    return image


def probability(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray((images[:, *SPOT].mean(axis=(1, 2, 3)) - GREY) / (255 - GREY), np.float64).clip(0, 1)


def shown(png: bytes) -> NDArray[np.int64]:
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SHOWN_SIZE, SHOWN_SIZE))
    return np.asarray(image).astype(np.int64)


def test_each_copy_is_covered_in_one_square_row_by_row_from_edge_to_edge() -> None:
    image = np.random.default_rng(0).integers(0, 100, (SIZE, SIZE, 3), dtype=np.uint8)
    image[0, 0] = 255  # so that the mean is the value of no pixel's neighbours
    copies = explaining.covered(image)
    assert copies.shape == (POSITIONS**2, SIZE, SIZE, 3)
    mean = image.mean(axis=(0, 1)).round()
    first, second, last = slice(0, 8), slice(0, 12), slice(40, 48)  # 12 px around 2, 6 and 46, where the image is
    places = {0: (first, first), 1: (first, second), POSITIONS: (second, first), POSITIONS**2 - 1: (last, last)}
    for number, place in places.items():
        assert (copies[number][place] == mean).all()
        copies[number][place] = image[place]
        assert (copies[number] == image).all()


def test_the_spot_that_matters_is_red_and_the_rest_as_it_was() -> None:
    image = spotted()
    png = explaining.heat_map(image, float(probability(image[None])[0]), probability(explaining.covered(image)))
    pixels, scale = shown(png), SHOWN_SIZE / SIZE
    redness = pixels[..., 0] - pixels[..., 2]
    redness[redness < redness.max() / 2] = 0  # the spot itself is white
    row, column = ((part.start + part.stop) / 2 * scale for part in SPOT)
    centre = [np.average(np.arange(SHOWN_SIZE), weights=redness.sum(axis=axis)) for axis in (1, 0)]
    assert centre == pytest.approx([row, column], abs=scale)
    assert redness[round(row), round(column)] > 150
    assert (pixels[SHOWN_SIZE // 2 :] == GREY).all()  # far below the spot nothing counts


def test_a_class_that_gains_by_every_cover_gets_the_plain_image() -> None:
    image = spotted()
    pixels = shown(explaining.heat_map(image, 0.1, np.linspace(0.1, 0.9, POSITIONS**2)))
    plain = np.asarray(Image.fromarray(image).resize((SHOWN_SIZE, SHOWN_SIZE), Image.Resampling.NEAREST))
    assert (pixels == plain).all()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_images_are_covered_too(size: int) -> None:
    image = np.zeros((size, size, 3), np.uint8)
    image[0, 0] = 200
    copies = explaining.covered(image)
    assert (copies != image).any(axis=(1, 2, 3)).any() == (size > 1)
    assert shown(explaining.heat_map(image, 1.0, np.zeros(POSITIONS**2))).shape == (SHOWN_SIZE, SHOWN_SIZE, 3)
