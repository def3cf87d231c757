"""Every metric of two models: as judging/metrics.py computes it, resampled as by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from waymark.judging import differences as judged
from waymark.judging import metrics
from waymark.judging.comparison import Paired, compare, pair
from waymark.judging.differences import RESAMPLES, Difference
from waymark.judging.resampling import draws, interval

Probabilities = NDArray[np.float64]
NAMES = [name for name in metrics.Metrics.__dataclass_fields__ if name != "images"]
LABELS = np.repeat(np.arange(4), 24)
GROUPS = np.arange(96) // 3
OLD_THRESHOLD, NEW_THRESHOLD = 0.6, 0.7


def answers(seed: int, skill: float) -> Probabilities:
    """(96, 4), to six decimals; the label's logit is `skill` above the others on average."""
    logits = np.random.default_rng(seed).normal(size=(len(LABELS), 4))
    logits[np.arange(len(LABELS)), LABELS] += skill
    return np.asarray((np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).round(6))


def predictions(probabilities: Probabilities, groups: NDArray[np.int64] = GROUPS) -> pd.DataFrame:
    names = [f"{number:03d}" for number in range(len(LABELS))]
    return pd.DataFrame(
        {
            "archive": "test.zip",
            "member": names,
            "label": LABELS,
            "group": groups,
            "part": "",
            "pixels_sha256": names,
            "predicted": probabilities.argmax(axis=1),
            "confidence": probabilities.max(axis=1),
            "probability_of_label": probabilities[np.arange(len(LABELS)), LABELS],
            "brier_score": metrics.brier_scores(probabilities, LABELS),
        }
    )


def paired(old: Probabilities, new: Probabilities, groups: NDArray[np.int64] = GROUPS) -> Paired:
    return pair(predictions(old, groups), predictions(new, groups))


def differences(both: Paired, old_threshold: float, new_threshold: float, seed_std: float = 0.0) -> list[Difference]:
    return judged.differences(both, compare(both, seed_std), old_threshold, new_threshold)


def by_name(found: list[Difference]) -> dict[str, Difference]:
    return {each.name: each for each in found}


OLD, NEW = answers(0, 1.5), answers(1, 2.5)


def test_every_metric_is_what_evaluate_would_say_in_its_order() -> None:
    found = differences(paired(OLD, NEW), OLD_THRESHOLD, NEW_THRESHOLD)
    assert [each.name for each in found] == NAMES
    old = metrics.compute(OLD, LABELS, OLD_THRESHOLD)
    new = metrics.compute(NEW, LABELS, NEW_THRESHOLD)
    for each in found:
        assert each.old == pytest.approx(getattr(old, each.name), abs=1e-12)
        assert each.new == pytest.approx(getattr(new, each.name), abs=1e-12)
        assert each.difference == pytest.approx(each.new - each.old, abs=1e-12)


@pytest.mark.slow
def test_intervals_are_those_of_metrics_on_groups_drawn_by_hand() -> None:
    found = by_name(differences(paired(OLD, NEW), OLD_THRESHOLD, NEW_THRESHOLD))
    changes: dict[str, list[float]] = {name: [] for name in NAMES}
    for weights in np.concatenate(list(draws(32, RESAMPLES))):
        rows = np.repeat(np.arange(len(LABELS)), weights[GROUPS])
        old = metrics.compute(OLD[rows], LABELS[rows], OLD_THRESHOLD)
        new = metrics.compute(NEW[rows], LABELS[rows], NEW_THRESHOLD)
        for name, values in changes.items():
            values.append(getattr(new, name) - getattr(old, name))
    for name in NAMES[1:]:  # accuracy is resampled oftener
        expected = interval(np.array(changes[name]), 32)
        assert (found[name].low, found[name].high) == pytest.approx(expected, abs=1e-9), name


def test_accuracy_is_judged_as_models_are_compared() -> None:
    for seed_std in (0.0, 0.1):
        compared = compare(paired(OLD, NEW), seed_std)
        accuracy = differences(paired(OLD, NEW), OLD_THRESHOLD, NEW_THRESHOLD, seed_std)[0]
        assert (accuracy.low, accuracy.high, accuracy.verdict) == (*compared.interval, compared.verdict)


def test_less_loss_is_better_and_less_coverage_is_worse() -> None:
    doubtful = (OLD + 0.25) / 2
    found = by_name(differences(paired(OLD, doubtful), OLD_THRESHOLD, OLD_THRESHOLD))
    assert found["accuracy"].verdict == "no real difference"
    assert found["coverage"].difference < 0
    assert found["coverage"].verdict == "worse"
    assert found["negative_log_likelihood"].difference > 0
    assert found["negative_log_likelihood"].verdict == "worse"
    back = by_name(differences(paired(doubtful, OLD), OLD_THRESHOLD, OLD_THRESHOLD))
    assert back["negative_log_likelihood"].verdict == "better"
    assert (back["coverage"].low, back["coverage"].high) == pytest.approx(
        (-found["coverage"].high, -found["coverage"].low), abs=1e-12
    )


def test_seeds_widen_what_a_verdict_asks_for_but_not_the_interval() -> None:
    plain = differences(paired(OLD, NEW), OLD_THRESHOLD, NEW_THRESHOLD)
    widened = differences(paired(OLD, NEW), OLD_THRESHOLD, NEW_THRESHOLD, seed_std=0.2)
    assert {each.verdict for each in plain} == {"better", "no real difference"}
    assert {each.verdict for each in widened} == {"no real difference"}
    assert [(each.low, each.high) for each in plain] == [(each.low, each.high) for each in widened]


@pytest.mark.parametrize("tracks", [1, 5])
def test_a_few_tracks_give_no_interval_and_no_verdict(tracks: int) -> None:
    found = differences(paired(OLD, NEW, np.arange(len(LABELS)) % tracks), OLD_THRESHOLD, NEW_THRESHOLD)
    assert (found[0].low, found[0].high) == (-1, 1)
    assert {(each.low, each.high) for each in found[1:]} == {(-math.inf, math.inf)}
    assert {each.verdict for each in found} == {"no real difference"}


def test_a_class_of_one_track_may_be_absent_from_a_resample() -> None:
    groups = np.where(LABELS == 0, 0, 1 + np.arange(len(LABELS)) % 7)
    found = differences(paired(OLD, NEW, groups), OLD_THRESHOLD, NEW_THRESHOLD)
    assert all(np.isfinite([each.low, each.high]).all() for each in found)


def test_models_that_agree_differ_by_nothing() -> None:
    for each in differences(paired(OLD, OLD), OLD_THRESHOLD, OLD_THRESHOLD, seed_std=0.01):
        assert (each.difference, each.low, each.high, each.verdict) == (0, 0, 0, "no real difference")


def test_a_probability_rounded_to_0_has_a_finite_loss() -> None:
    certain = np.eye(4)[(LABELS + 1) % 4]
    found = by_name(differences(paired(OLD, certain), OLD_THRESHOLD, OLD_THRESHOLD))
    assert found["negative_log_likelihood"].new == pytest.approx(-math.log(5e-7))
