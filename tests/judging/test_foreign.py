"""Pictures of no class, and how a score tells them from known ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waymark.judging import foreign

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("known", "strange", "expected"),
    [
        ([0.9, 0.8, 0.4], [0.7, 0.4], 0.75),  # four of six pairs, and half for a tie
        ([0.9, 0.8], [0.7], 1.0),
        ([0.1, 0.2], [0.7], 0.0),
        ([0.5, 0.5], [0.5, 0.5, 0.5], 0.5),
    ],
)
def test_auroc_is_the_share_of_pairs_in_the_right_order(
    known: list[float], strange: list[float], expected: float
) -> None:
    assert foreign.auroc(np.array(known), np.array(strange)) == expected


@given(SCORES, SCORES)
def test_auroc_counts_pairs(known: list[int], strange: list[int]) -> None:
    pairs = [(k > s) + (k == s) / 2 for k in known for s in strange]
    assert foreign.auroc(np.array(known, float), np.array(strange, float)) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("side", [16, 40, 256])
@pytest.mark.parametrize("kind", foreign.KINDS)
def test_pictures_repeat_and_are_all_different(kind: str, side: int) -> None:
    drawn = foreign.draw(kind, side, count=5)
    assert drawn.shape == (5, side, side, 3)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(foreign.draw(kind, side, count=5), drawn)
    assert len({picture.tobytes() for picture in drawn}) == 5
    assert not np.array_equal(foreign.draw(kind, side, count=5, seed=1)[4], drawn[4])


def test_blank_pictures_have_one_colour_each_and_begin_with_black_white_and_grey() -> None:
    drawn = foreign.draw("blank", 16, count=5)
    assert drawn[:3, 0, 0].tolist() == [[0] * 3, [255] * 3, [128] * 3]
    assert (drawn == drawn[:, :1, :1]).all()
    assert foreign.draw("blank", 16, count=1)[0, 0, 0].tolist() == [0] * 3


def test_gradients_are_smooth_and_blobs_reach_from_black_to_white() -> None:
    gradients, blobs = (foreign.draw(kind, 32).astype(int) for kind in ("gradient", "blobs"))
    assert np.abs(np.diff(gradients, axis=1)).max() <= 14  # the range over the diagonal's 2√2 · 31 / 2 steps, and √2
    assert (blobs.min(axis=(1, 2)) == 0).all()
    assert (blobs.max(axis=(1, 2)) == 255).all()
