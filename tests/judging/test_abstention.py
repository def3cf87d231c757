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
    assert fit_threshold(confidences, right, max_risk) == (threshold, risk)


def test_promise_holds_and_gives_nothing_away() -> None:
    """A calibrated model whose confidences are spread evenly over [1/2, 1] answers (1 - t)^2 of all images wrongly."""
    generator = np.random.default_rng(0)
    risks = []
    for _ in range(2000):
        confidences = generator.uniform(0.5, 1, 199)
        threshold, promised = fit_threshold(confidences, generator.random(199) < confidences, 0.052)
        assert promised == 0.052
        risks.append((1 - threshold) ** 2)
    # In theory 0.05, since 200 images divide into no smaller steps; the mean of 2,000 is within 0.0011 of it.
    assert 0.0489 < np.mean(risks) < 0.0511


IMAGES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


@given(IMAGES, st.floats(0.0001, 1))
def test_threshold_is_the_lowest_that_keeps_the_promise(images: list[tuple[float, bool]], max_risk: float) -> None:
    confidences, right = (np.array(column) for column in zip(*images, strict=True))
    threshold, promised = fit_threshold(confidences, right, max_risk)

    def bound(threshold: float) -> float:
        return float(((confidences >= threshold) & ~right).sum() + 1) / (len(images) + 1)

    assert 0.5 <= threshold <= 1
    assert promised >= max_risk
    assert bound(threshold) <= promised
    assert threshold == 0.5 or bound(np.nextafter(threshold, 0)) > promised
    assert promised == max_risk or promised == bound(1.0)


@given(IMAGES, st.floats(0.0001, 1), st.floats(0.0001, 1))
def test_less_risk_never_lowers_the_threshold(images: list[tuple[float, bool]], one: float, other: float) -> None:
    confidences, right = (np.array(column) for column in zip(*images, strict=True))
    strict, _ = fit_threshold(confidences, right, min(one, other))
    lax, _ = fit_threshold(confidences, right, max(one, other))
    assert strict >= lax
