"""The threshold of "not sure": counted by hand, and its promise held on simulated images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waymark.judging.abstention import fit_threshold


def above(confidence: float) -> float:
    """The next number, from which on an answer of `confidence` is withheld."""
    return float(np.nextafter(confidence, 1))


@pytest.mark.parametrize(
    ("wrong", "max_risk", "threshold", "risk"),
    [
        # Of nine images each wrong answer costs a tenth, and so does the image to come.
        ([0.9, 0.7, 0.8], 0.1, above(0.9), 0.1),
        ([0.9, 0.7, 0.8], 0.2, above(0.8), 0.2),
        ([0.9, 0.7, 0.8], 0.29, above(0.8), 0.29),
        ([0.9, 0.7, 0.8], 0.3, above(0.7), 0.3),
        ([0.9, 0.7, 0.8], 0.4, 0.5, 0.4),
        ([0.9, 0.7, 0.8], 1.0, 0.5, 1.0),
        ([0.9, 0.8, 0.8], 0.2, above(0.8), 0.2),  # alike: both are withheld
        ([0.9, 0.5, 0.4], 0.2, above(0.5), 0.2),
        ([0.9, 0.4, 0.3], 0.2, 0.5, 0.2),  # nothing under one half is ever answered
        ([], 0.1, 0.5, 0.1),
        # Nine images promise a tenth at best.
        ([], 0.005, 0.5, 0.1),
        ([0.9, 0.7, 0.8], 0.005, above(0.9), 0.1),
        # No threshold withholds a certain mistake.
        ([1.0, 0.7, 1.0], 0.1, above(0.7), 0.3),
        ([1.0, 1.0, 1.0], 0.1, 0.5, 0.4),
        ([above(0.5), 1 - 2**-53, 0.1], 0.1, 1.0, 0.1),
    ],
)
def test_threshold_of_nine_images(wrong: list[float], max_risk: float, threshold: float, risk: float) -> None:
    confidences = np.array([*wrong, *np.linspace(0.6, 1, 9 - len(wrong))])
    right = np.arange(9) >= len(wrong)
    assert fit_threshold(confidences, right, np.arange(9), max_risk) == (threshold, risk)


TRACKS = np.array(["a"] * 4 + ["b"] * 2 + ["c"] * 2)


@pytest.mark.parametrize(
    ("max_risk", "threshold", "risk"),
    [
        # Three tracks promise a quarter at best. One wrong of two frames costs an eighth, one of four a sixteenth.
        (0.1, above(0.9), 0.25),
        (0.25, above(0.9), 0.25),
        (0.3, above(0.9), 0.3),
        (0.3125, above(0.8), 0.3125),
        (0.43, above(0.8), 0.43),
        (0.4375, above(0.7), 0.4375),
        (0.5625, above(0.6), 0.5625),
        (0.625, 0.5, 0.625),
    ],
)
def test_threshold_counts_tracks_each_by_its_share_of_wrong_frames(
    max_risk: float, threshold: float, risk: float
) -> None:
    confidences = np.array([0.9, 0.99, 0.6, 0.95, 0.8, 0.7, 0.9, 0.97])
    right = np.array([False, True, False, True, False, False, True, True])
    assert fit_threshold(confidences, right, TRACKS, max_risk) == (threshold, risk)


def test_frames_of_one_track_vouch_for_no_more_than_one() -> None:
    confidences, right = np.linspace(0.6, 1, 1000), np.ones(1000, bool)
    assert fit_threshold(confidences, right, np.zeros(1000), 0.005) == (0.5, 0.5)
    assert fit_threshold(confidences, right, np.arange(1000), 0.005) == (0.5, 0.005)


def test_promise_holds_for_tracks_whose_frames_are_right_or_wrong_together() -> None:
    """Of 59 tracks of 30 frames each. One may be given by their frames, none as a track, and another one is to come."""
    generator = np.random.default_rng(0)
    tracks = np.repeat(np.arange(59), 30)
    by_tracks: list[float] = []
    by_frames: list[float] = []
    for _ in range(1000):
        sure = generator.uniform(0.5, 1, 59)
        confidences, right = sure[tracks], (generator.random(59) < sure)[tracks]
        for groups, risks in ((tracks, by_tracks), (np.arange(len(tracks)), by_frames)):
            threshold, promised = fit_threshold(confidences, right, groups, 0.018)
            assert promised == 0.018
            risks.append((1 - threshold) ** 2)
    # A sixtieth and two of them in theory, since 60 tracks divide into no smaller steps.
    assert np.mean(by_tracks) < 0.018 < 0.03 < np.mean(by_frames)


def test_promise_holds_and_gives_nothing_away() -> None:
    """A calibrated model whose confidences are spread evenly over [1/2, 1] answers (1 - t)^2 of all images wrongly."""
    generator = np.random.default_rng(0)
    risks = []
    for _ in range(2000):
        confidences = generator.uniform(0.5, 1, 199)
        threshold, promised = fit_threshold(confidences, generator.random(199) < confidences, np.arange(199), 0.052)
        assert promised == 0.052
        risks.append((1 - threshold) ** 2)
    # In theory 0.05, since 200 images divide into no smaller steps; the mean of 2,000 is within 0.0011 of it.
    assert 0.0489 < np.mean(risks) < 0.0511


IMAGES = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 9)), min_size=1, max_size=40)
Image = tuple[float, bool, int]


@given(IMAGES, st.floats(0.0001, 1))
def test_threshold_is_the_lowest_that_keeps_the_promise(images: list[Image], max_risk: float) -> None:
    confidences, right, groups = (np.array(column) for column in zip(*images, strict=True))
    threshold, promised = fit_threshold(confidences, right, groups, max_risk)
    tracks = [groups == group for group in np.unique(groups)]

    def bound(threshold: float) -> float:
        wrong = (confidences >= threshold) & ~right
        return float((sum(wrong[track].mean() for track in tracks) + 1) / (len(tracks) + 1))

    rounding = 1e-12  # losses are added up in another order here
    assert 0.5 <= threshold <= 1
    assert promised >= max_risk
    assert bound(threshold) <= promised + rounding
    assert threshold == 0.5 or bound(np.nextafter(threshold, 0)) > promised - rounding
    assert promised == max_risk or promised == pytest.approx(bound(1.0))


@given(IMAGES, st.floats(0.0001, 1), st.floats(0.0001, 1))
def test_less_risk_never_lowers_the_threshold(images: list[Image], one: float, other: float) -> None:
    confidences, right, groups = (np.array(column) for column in zip(*images, strict=True))
    strict, _ = fit_threshold(confidences, right, groups, min(one, other))
    lax, _ = fit_threshold(confidences, right, groups, max(one, other))
    assert strict >= lax
