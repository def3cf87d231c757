"""Equalisation, held against OpenCV and against what it promises for any picture."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from waymark.equalisation import CLIP_LIMIT, TILES, Luma, clahe, histogram, on_luma

Picture = Callable[[int], Luma]
Method = Callable[[Luma], Luma]
METHODS: list[Method] = [histogram, clahe]
SIDES = [16, 17, 18, 19, 30, 32, 39, 40, 41, 42, 48, 63, 64, 65, 97, 128, 129, 224, 255, 256]
POWERS_OF_TWO = [16, 30, 32, 63, 64, 128, 255, 256]  # the side of a tile, after padding


def dim(side: int) -> Luma:
    """A bright disc in a dark, noisy slope: flat parts and full ones."""
    rows, columns = np.mgrid[:side, :side]
    grain = np.random.default_rng(side).normal(0, 6, (side, side))
    disc = 60 * (np.hypot(rows - side / 3, columns - side / 2) < side / 4)
    return np.asarray((40 + 30 * columns / side + disc + grain).clip(0, 255), np.uint8)


def noise(side: int) -> Luma:
    return np.random.default_rng(side).integers(0, 256, (side, side), dtype=np.uint8)


def opencv_clahe(luma: Luma) -> NDArray[np.uint8]:
    grid = (TILES, TILES)
    return np.asarray(cv2.createCLAHE(clipLimit=CLIP_LIMIT, tileGridSize=grid).apply(luma), np.uint8)


def off(ours: Luma, theirs: NDArray[np.uint8]) -> int:
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("picture", [dim, noise])
def test_clahe_is_opencv_s_but_for_its_float_rounding(side: int, picture: Picture) -> None:
    luma = picture(side)
    assert off(clahe(luma), opencv_clahe(luma)) <= 1
    assert (clahe(luma) != opencv_clahe(luma)).mean() < 0.01  # ties, which OpenCV's 32-bit floats decide by chance


@pytest.mark.parametrize("side", POWERS_OF_TWO)
@pytest.mark.parametrize("picture", [dim, noise])
def test_clahe_is_opencv_s_to_the_bit_where_floats_are_exact(side: int, picture: Picture) -> None:
    assert (clahe(picture(side)) == opencv_clahe(picture(side))).all()


@pytest.mark.slow
def test_clahe_is_opencv_s_at_every_image_size() -> None:
    for side in range(16, 257):
        for luma in (dim(side), noise(side)):
            assert off(clahe(luma), opencv_clahe(luma)) <= 1, side


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("picture", [dim, noise])
def test_the_histogram_is_equalised_as_opencv_does(side: int, picture: Picture) -> None:
    assert off(histogram(picture(side)), np.asarray(cv2.equalizeHist(picture(side)), np.uint8)) <= 1


def test_the_histogram_of_a_worked_example() -> None:
    levels = np.array([[52, 52, 52, 55], [55, 61, 61, 255]], np.uint8)
    # counted up to each level: 3, 5, 7, 8; so (3 - 3, 5 - 3, 7 - 3, 8 - 3) / (8 - 3) of 255
    assert histogram(levels).tolist() == [[0, 0, 0, 102], [102, 204, 204, 255]]


def test_clahe_limits_what_the_histogram_stretches() -> None:
    stripes = np.full((40, 40), 100, np.uint8)
    stripes[:, 1::2] = 101
    assert np.unique(histogram(stripes)).tolist() == [0, 255]
    # A tile's 100 pixels are clipped to 1 a level; the other 98 go to levels 0, 2, 4 … 194. So 52 and 53 of 100.
    assert np.unique(clahe(stripes)).tolist() == [133, 135]


def test_clahe_adapts_to_each_corner() -> None:
    halves = dim(64)
    halves[:, 32:] //= 4
    assert clahe(halves)[:, :16].tolist() == clahe(dim(64))[:, :16].tolist()
    assert histogram(halves)[:, :16].tolist() != histogram(dim(64))[:, :16].tolist()


@pytest.mark.parametrize("method", METHODS)
@given(luma=st.integers(4, 24).flatmap(lambda side: arrays(np.uint8, (side, side))))
def test_shape_and_type_are_kept_and_the_picture_given_is_left_alone(method: Method, luma: Luma) -> None:
    before = luma.copy()
    equalised = method(luma)
    assert equalised.shape == luma.shape
    assert equalised.dtype == np.uint8
    assert (luma == before).all()


@given(level=st.integers(0, 255), side=st.integers(1, 40))
def test_a_constant_picture_stays_constant(level: int, side: int) -> None:
    flat = np.full((side, side), level, np.uint8)
    assert (histogram(flat) == level).all()
    assert np.ptp(clahe(flat)) == 0


@given(arrays(np.uint8, (16, 16)))
def test_the_histogram_keeps_the_order_of_levels(luma: Luma) -> None:
    by_level = histogram(luma).ravel()[luma.argsort(axis=None)].astype(int)
    assert (np.diff(by_level) >= 0).all()


@given(arrays(np.uint8, (16, 16), elements=st.integers(0, 255)))
def test_equalising_twice_changes_nothing_where_no_two_levels_merge(luma: Luma) -> None:
    once = histogram(luma)  # of at most 256 pixels, each is worth a level or more, so none merge
    assert len(np.unique(once)) == len(np.unique(luma))
    assert (histogram(once) == once).all()


@pytest.mark.parametrize("method", METHODS)
def test_grey_stays_grey_and_is_the_equalised_luma(method: Method) -> None:
    grey = dim(40)
    equalised = on_luma(Image.fromarray(grey).convert("RGB"), method)
    assert (equalised == method(grey)[..., None]).all()


def test_luma_changes_and_chroma_stays() -> None:
    picture = np.stack([dim(40), dim(40) // 2, dim(40) // 2], axis=2)
    equalised = on_luma(Image.fromarray(picture), clahe)
    luma = np.asarray(Image.fromarray(picture).convert("L"))
    change = clahe(luma).astype(int) - luma
    assert (equalised - picture.astype(int) == change[..., None]).all()
    assert (np.asarray(Image.fromarray(equalised).convert("L")) == clahe(luma)).all()


def test_a_colour_ends_where_the_range_ends() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:8] = (250, 100, 0)  # its luma, 133, becomes 255, black's stays 0
    equalised = on_luma(Image.fromarray(picture), histogram)
    assert equalised[0, 0].tolist() == [255, 222, 122]
    assert equalised[15, 15].tolist() == [0, 0, 0]
