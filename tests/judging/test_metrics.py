"""Metrics on cases small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest

from waymark.judging import metrics

LABELS = np.array([0, 0, 0, 1])
PROBABILITIES = np.array([[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0]])


def test_metrics_of_four_images() -> None:
    result = metrics.compute(PROBABILITIES, LABELS, threshold=0.7)
    assert result.images == 4
    assert result.accuracy == 0.75
    assert result.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)  # the class without images does not count
    assert result.min_class_recall == pytest.approx(2 / 3)
    assert result.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert result.negative_log_likelihood == pytest.approx(-np.log([0.8, 0.6, 0.3, 0.9]).mean())
    assert result.brier_score == pytest.approx((2 * 0.2**2 + 2 * 0.4**2 + 2 * 0.7**2 + 2 * 0.1**2) / 4)
    assert result.expected_calibration_error == pytest.approx((0.2 + 0.4 + 0.7 + 0.1) / 4)  # one image a bin
    assert result.coverage == 0.75
    assert result.answered_error == pytest.approx(1 / 3)


@pytest.mark.parametrize(("threshold", "coverage", "error"), [(0.0, 1.0, 0.25), (0.75, 0.5, 0.0), (0.95, 0.0, 0.0)])
def test_images_below_the_threshold_are_not_answered_and_change_nothing_else(
    threshold: float, coverage: float, error: float
) -> None:
    expected = replace(metrics.compute(PROBABILITIES, LABELS, 0.7), coverage=coverage, answered_error=error)
    assert metrics.compute(PROBABILITIES, LABELS, threshold) == expected


def test_confusion_has_labels_as_rows() -> None:
    assert metrics.confusion(np.array([0, 0, 2]), np.array([1, 0, 2]), 3).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_a_calibrated_predictor_has_almost_no_calibration_error() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.5, 1, 60_000)
    right = generator.random(60_000) < confidence
    assert metrics.expected_calibration_error(confidence, right) < 0.01
    assert metrics.expected_calibration_error(np.minimum(confidence + 0.1, 1), right) == pytest.approx(0.09, abs=0.02)


def test_reliability_bins_have_equal_mass() -> None:
    bins = metrics.reliability(np.linspace(0, 1, 150), np.ones(150, bool))
    assert bins[:, 2].tolist() == [10] * 15
    assert (np.diff(bins[:, 0]) > 0).all()


def test_a_certain_mistake_has_a_finite_loss() -> None:
    assert np.isfinite(metrics.negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])))


def test_risk_at_each_coverage_answers_the_surest_first() -> None:
    curve = metrics.risk_coverage(np.array([0.6, 0.9, 0.7, 0.8]), np.array([False, True, True, False]))
    expected = [[0.25, 0, 0.9], [0.5, 1 / 2, 0.8], [0.75, 1 / 3, 0.7], [1, 2 / 4, 0.6]]
    np.testing.assert_allclose(curve, expected)


@pytest.mark.parametrize("right", [True, False])
def test_risk_is_the_same_everywhere_where_all_are_right_or_all_wrong(right: bool) -> None:
    curve = metrics.risk_coverage(np.full(3, 1.0), np.full(3, right))
    assert curve[:, 1].tolist() == [float(not right)] * 3


def test_one_class_and_one_image_have_all_metrics() -> None:
    result = metrics.compute(np.ones((1, 1)), np.array([0]), threshold=0.5)
    assert (result.accuracy, result.macro_f1, result.negative_log_likelihood, result.brier_score) == (1, 1, 0, 0)
    assert (result.expected_calibration_error, result.coverage, result.answered_error) == (0, 1, 0)
