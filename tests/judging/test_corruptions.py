"""Corruptions are the published ones: each image's own, the same in any batch, at any size."""

import colorsys
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from waymark.judging import corruptions
from waymark.judging.corruptions import SEVERITIES, TEST, VALIDATION, corrupt

NAMES = [*TEST, *VALIDATION]
ROWS = np.array([5, 0, 17])
BY_CHANCE = ("noise", "glass", "motion", "snow", "frost", "fog", "elastic", "spatter")


def pictures(side: int, count: int = 3) -> NDArray[np.uint8]:
    """A bright disk with a dark bar on a coloured ground, each a little larger than the one before."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    images = np.empty((count, side, side, 3), np.uint8)
    for number, image in enumerate(images):
        image[:] = 60, 90, 140
        image[x**2 + y**2 < 0.3 + 0.1 * number] = 230, 220, 210
        image[np.abs(y) < 0.15] = 40, 20, 30
    return images


def test_the_fifteen_that_judge_and_the_four_to_choose_by_are_apart() -> None:
    assert (len(TEST), len(VALIDATION)) == (15, 4)
    assert not set(TEST) & set(VALIDATION)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_corrupted_the_same_way_in_any_batch(name: str) -> None:
    images = pictures(32)
    together = corrupt(images, ROWS, name, 3)
    assert together.shape == images.shape
    assert together.dtype == np.uint8
    np.testing.assert_array_equal(corrupt(images[::-1], ROWS[::-1], name, 3), together[::-1])
    np.testing.assert_array_equal(corrupt(images[1:2], ROWS[1:2], name, 3), together[1:2])


@pytest.mark.parametrize("name", NAMES)
def test_chance_is_another_in_each_row_and_with_each_seed(name: str) -> None:
    images = pictures(32)[[0, 0]]
    rows = np.array([0, 1])
    first, second = corrupt(images, rows, name, 3)
    other_seed = corrupt(images, rows, name, 3, seed=1)[0]
    assert (
        np.array_equal(first, second)
        == np.array_equal(first, other_seed)
        == (not any(word in name for word in BY_CHANCE))
    )


# Mean change of a pixel of the picture at 32 px, of 255, at the least and the greatest severity.
CHANGES: dict[str, list[float]] = {
    "gaussian_noise": [8.2, 19.87],
    "shot_noise": [5.57, 17.33],
    "impulse_noise": [1.25, 8.91],
    "defocus_blur": [1.15, 8.66],
    "glass_blur": [11.73, 15.06],
    "motion_blur": [2.24, 4.9],
    "zoom_blur": [1.69, 7.53],
    "snow": [10.5, 62.3],
    "frost": [31.68, 44.46],
    "fog": [8.51, 38.03],
    "brightness": [9.34, 49.24],
    "contrast": [9.04, 29.93],
    "elastic_transform": [9.49, 7.59],
    "pixelate": [2.89, 1.44],
    "jpeg_compression": [5.89, 8.09],
    "speckle_noise": [5.09, 15.93],
    "gaussian_blur": [1.15, 9.54],
    "spatter": [4.71, 3.17],
    "saturate": [23.95, 30.38],
}


@pytest.mark.parametrize("name", NAMES)
def test_strengths_are_as_they_were(name: str) -> None:
    image = pictures(32, 1)
    changes = [np.abs(corrupt(image, np.array([7]), name, s).astype(int) - image).mean() for s in (1, 5)]
    assert changes == pytest.approx(CHANGES[name], abs=0.02)  # a rounded pixel may fall otherwise elsewhere


@pytest.mark.parametrize("side", [16, 33, 40])
@pytest.mark.parametrize("name", NAMES)
def test_images_of_any_size_change_at_any_severity(name: str, side: int) -> None:
    image = pictures(side, 1)
    for severity in SEVERITIES:
        corrupted = corrupt(image, np.array([0]), name, severity)
        assert corrupted.shape == image.shape
        assert (corrupted != image).any() or name in ("spatter", "pixelate"), severity  # chance, and 15 of 16 px


@pytest.mark.parametrize("name", [name for name in NAMES if name != "glass_blur"])  # which takes seconds at this size
def test_large_images_are_corrupted_too(name: str) -> None:
    image = pictures(256, 1)
    assert (corrupt(image, np.array([0]), name, 5) != image).any()


@pytest.mark.parametrize("shade", [0, 100, 255])
@pytest.mark.parametrize("name", [name for name in NAMES if "blur" in name or name in ("pixelate", "contrast")])
def test_a_blank_image_stays_blank_where_pixels_are_only_moved_or_mixed(name: str, shade: int) -> None:
    blank = np.full((1, 32, 32, 3), shade, np.uint8)
    for severity in SEVERITIES:
        np.testing.assert_allclose(corrupt(blank, np.array([0]), name, severity), blank, atol=1)


@pytest.mark.parametrize(("severity", "kept"), [(1, 0.75), (5, 0.15)])
def test_contrast_shrinks_the_distance_to_the_mean_of_each_channel(severity: int, kept: float) -> None:
    image = pictures(32, 1)
    mean = image.mean(axis=(1, 2), keepdims=True)
    expected = mean + kept * (image - mean)
    np.testing.assert_allclose(corrupt(image, np.array([0]), "contrast", severity), expected, atol=0.51)


@pytest.mark.parametrize(
    ("name", "severity", "change"),
    [
        ("brightness", 2, lambda h, s, v: (h, s, min(v + 0.1, 1))),
        ("brightness", 5, lambda h, s, v: (h, s, min(v + 0.3, 1))),
        ("saturate", 1, lambda h, s, v: (h, s * 0.3, v)),
        ("saturate", 5, lambda h, s, v: (h, min(s * 2.5 + 0.2, 1), v)),
    ],
)
def test_colours_change_as_in_hsv(name: str, severity: int, change: object) -> None:
    assert callable(change)
    colours = np.random.default_rng(0).integers(0, 256, (64, 3))
    colours[:3] = [[0, 0, 0], [255, 255, 255], [90, 90, 90]]
    expected = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*(colour / 255)))) for colour in colours]
    found = corrupt(colours.reshape(1, 8, 8, 3).astype(np.uint8), np.array([0]), name, severity)
    np.testing.assert_allclose(found.reshape(64, 3), 255 * np.array(expected), atol=0.51)


def test_jpeg_is_pillows_own() -> None:
    image, file = pictures(40, 1), io.BytesIO()
    Image.fromarray(image[0]).save(file, "JPEG", quality=40)
    expected = np.asarray(Image.open(file))
    np.testing.assert_array_equal(corrupt(image, np.array([0]), "jpeg_compression", 5)[0], expected)


def test_noise_has_the_published_strength() -> None:
    grey = np.full((1, 128, 128, 3), 128, np.uint8)

    def noise(name: str, severity: int) -> NDArray[np.float64]:
        return corrupt(grey, np.array([0]), name, severity) / 255

    assert noise("gaussian_noise", 5).std() == pytest.approx(0.10, rel=0.02)
    assert noise("shot_noise", 5).std() == pytest.approx((128 / 255 / 50) ** 0.5, rel=0.02)
    assert noise("speckle_noise", 5).std() == pytest.approx(0.2 * 128 / 255, rel=0.02)
    impulses = noise("impulse_noise", 5)
    assert [(impulses == value).mean() for value in (0, 1)] == pytest.approx([0.035, 0.035], abs=0.003)


def test_glass_moves_pixels_and_loses_none() -> None:
    """At the least severity the blur is narrower than a pixel, so that pixels only change places."""
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    corrupted = corrupt(image, np.array([0]), "glass_blur", 1)
    assert (corrupted != image).any()
    assert sorted(map(tuple, corrupted.reshape(-1, 3))) == sorted(map(tuple, image.reshape(-1, 3)))


def test_motion_smears_along_one_direction() -> None:
    image = np.zeros((1, 32, 32, 1), np.float32)
    image[0, 16, 20] = 1
    smeared = corruptions.blur.along(image, np.zeros(1, np.float32), sigma=2, longest=12)[0, :, :, 0]
    assert smeared[16].sum() == pytest.approx(1, abs=0.01)
    assert smeared.sum() == pytest.approx(smeared[16].sum())
    assert (np.diff(smeared[16, 12:21]) > 0).all()  # it comes from the right
    assert not smeared[16, 21:].any()


def test_zooming_by_one_changes_nothing_and_by_two_shows_the_middle() -> None:
    image = np.random.default_rng(0).random((1, 9, 9, 1), np.float32)
    same = corruptions.blur.apply(corruptions.blur.zooming(9, 1.0), image)
    np.testing.assert_allclose(same, image, atol=1e-6)
    larger = corruptions.blur.apply(corruptions.blur.zooming(9, 2.0), image)
    np.testing.assert_allclose(larger[0, ::2, ::2, 0], image[0, 2:7, 2:7, 0], atol=1e-6)
