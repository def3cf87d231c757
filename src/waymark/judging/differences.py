"""How every metric differs between two models on the same images, with an interval and a verdict each.

The figures are computed anew from the predictions, on the images that both tests share. Even where that is all of them,
they may differ from metrics.json in the last decimals, for predictions are kept to six.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from waymark.judging.comparison import Comparison, Paired, Verdict, verdict
from waymark.judging.metrics import BINS
from waymark.judging.resampling import FEWEST, Interval, draws, interval

RESAMPLES = 2_000  # a fifth of accuracy's, for each of them costs a pass over all images
LEAST = 5e-7  # the most that a probability can be which six decimals show as 0

LESS_IS_BETTER = frozenset({"negative_log_likelihood", "brier_score", "expected_calibration_error", "answered_error"})

Figures = dict[str, NDArray[np.float64]]  # of each metric by its name, one a resample


@dataclass(frozen=True)
class Difference:
    name: str  # as judging/metrics.py has it
    old: float
    new: float
    difference: float  # new minus old
    low: float  # the ends of its 95 % interval, for other images of this kind and these two models
    high: float
    verdict: Verdict


def differences(paired: Paired, accuracy: Comparison, old_threshold: float, new_threshold: float) -> list[Difference]:
    """Each metric of judging/metrics.py on the images that both tests share, in its order.

    The thresholds are the contracts'; `accuracy`, what `compare` says of `paired`, stands as it is. Another metric is
    "better" or "worse" where its interval leaves 0 out even if seeds widen it by the factor by which they widen
    accuracy's: how its own values spread between seeds is not known. Classes without images do not count, in a resample
    neither.
    """
    old, new = _Model(paired, "old", old_threshold), _Model(paired, "new", new_threshold)
    everything = np.ones((1, accuracy.groups), np.int64)
    before, after = old.figures(everything), new.figures(everything)
    intervals = dict.fromkeys(before, (-math.inf, math.inf))  # a few groups tell nothing about others
    if accuracy.groups >= FEWEST:
        drawn = [(old.figures(weights), new.figures(weights)) for weights in draws(accuracy.groups, RESAMPLES)]
        for name in intervals:
            changes = np.concatenate([theirs[name] - ours[name] for ours, theirs in drawn])
            intervals[name] = interval(changes, accuracy.groups)
    intervals["accuracy"] = accuracy.interval
    factor = _widening(accuracy)
    found = []
    for name, plain in intervals.items():
        was, now = float(before[name][0]), float(after[name][0])
        judged = accuracy.verdict if name == "accuracy" else _verdict(name, now - was, plain, factor)
        found.append(Difference(name, was, now, now - was, *plain, judged))
    return found


def _widening(accuracy: Comparison) -> float:
    (low, high), (wide_low, wide_high) = accuracy.interval, accuracy.widened
    if high > low:
        return (wide_high - wide_low) / (high - low)
    return 1.0 if wide_high == wide_low else math.inf  # no image tells the models apart


def _verdict(name: str, difference: float, plain: Interval, factor: float) -> Verdict:
    low, high = (difference + factor * (end - difference) if end != difference else end for end in plain)
    return verdict((-high, -low) if name in LESS_IS_BETTER else (low, high))


class _Model:
    """One model's answers, added up so that its figures follow from how often each group counts."""

    def __init__(self, paired: Paired, model: str, threshold: float) -> None:
        rows, self.groups = paired.rows, paired.groups
        labels, predicted = (rows[name].to_numpy(np.int64) for name in ("label", f"{model}_predicted"))
        confidence, of_label, brier = (
            rows[f"{model}_{name}"].to_numpy(np.float64)
            for name in ("confidence", "probability_of_label", "brier_score")
        )
        loss = -np.log(np.maximum(of_label, LEAST))
        right, answered, one = predicted == labels, confidence >= threshold, np.ones(len(rows))
        self.classes = int(max(labels.max(), predicted.max())) + 1
        by_class = (labels, self.classes + predicted, 2 * self.classes + labels)
        values = np.concatenate([loss, brier, answered, answered & ~right, right, one, one])
        kinds = np.concatenate([np.repeat(np.arange(4), len(rows)), *(4 + kind for kind in by_class)])
        shape = (4 + 3 * self.classes, int(self.groups.max()) + 1)
        self.sums = csr_array((values, (kinds, np.tile(self.groups, 7))), shape=shape)
        self.order = np.argsort(confidence, kind="stable")
        self.excess = (confidence - right)[self.order]

    def figures(self, weights: NDArray[np.int64]) -> Figures:
        """Of each resample; `weights`, (resamples, groups), says how often each group counts."""
        totals = np.asarray(self.sums @ weights.T.astype(np.float64))
        loss, brier, answered, answered_wrong = totals[:4]
        hits, predicted, labels = totals[4:].reshape(3, self.classes, -1)
        images = labels.sum(axis=0)
        with np.errstate(invalid="ignore"):  # NaN for a class without images
            recalls, f1_scores = hits / labels, 2 * hits / (predicted + labels)
        return {
            "accuracy": hits.sum(axis=0) / images,
            "balanced_accuracy": np.nanmean(recalls, axis=0),
            "macro_f1": np.nanmean(f1_scores, axis=0),
            "min_class_recall": np.nanmin(recalls, axis=0),
            "negative_log_likelihood": loss / images,
            "brier_score": brier / images,
            "expected_calibration_error": np.array([self._calibration_error(each) for each in weights]),
            "coverage": answered / images,
            "answered_error": answered_wrong / np.maximum(answered, 1),
        }

    def _calibration_error(self, weights: NDArray[np.int64]) -> float:
        """As metrics.expected_calibration_error of the images, each as often as its group counts."""
        often = weights[self.groups[self.order]]
        images, excess = (np.concatenate([[0], values.cumsum()]) for values in (often, often * self.excess))
        whole, rest = divmod(int(images[-1]), BINS)
        edges = np.arange(BINS + 1) * whole + np.minimum(np.arange(BINS + 1), rest)
        return float(np.abs(np.diff(np.interp(edges, images, excess))).sum() / images[-1])
