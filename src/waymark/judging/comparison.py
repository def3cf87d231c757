"""Whether one model is better than another, judged on the same test images: in pairs, and beyond chance.

Three things are chance. Which images were tested: the exact McNemar test (1947, doi:10.1007/BF02295996) counts only
those that one of two models has right. That they come in tracks: the interval draws whole groups. And the seed: another
seed of the same recipe is another model, and two such differ beyond the first two chances more often than one time in
20. How far the accuracies of one recipe spread between seeds must be measured (benchmarks/verdicts.py does);
`seed_std` says it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from waymark.errors import WaymarkError
from waymark.judging import metrics
from waymark.judging.resampling import FEWEST, Interval, draws, interval

Verdict = Literal["better", "worse", "no real difference"]

SIGNIFICANCE = 0.05
RESAMPLES = 10_000  # with ever more of them the interval's ends would move by under a hundredth of its width

_IMAGE = ["archive", "member", "label", "group", "part", "pixels_sha256"]
_ANSWER = ["predicted", "confidence", "probability_of_label", "brier_score"]
_SAME = ["pixels_sha256", "label", "copy"]  # what makes two rows the same image under the same label


@dataclass(frozen=True)
class Paired:
    """Both models' answers to the images that both tests hold under the same label.

    `rows` is in an order of the images' own, with the columns pixels_sha256, label; archive, member and group as the
    new test has them; old_row and new_row, an image's place in either test's predictions and prepared array; and
    old_… and new_… of predicted, confidence, probability_of_label and brier_score.
    """

    rows: pd.DataFrame
    only_old: int  # images that only the old test holds
    only_new: int
    relabelled: int  # images in both, but under another label

    @property
    def old_right(self) -> NDArray[np.bool_]:
        return self._right("old")

    @property
    def new_right(self) -> NDArray[np.bool_]:
        return self._right("new")

    @property
    def newly_right(self) -> pd.DataFrame:
        """The rows that only the new model has right, its surest answer first."""
        return self._by_confidence(self.new_right & ~self.old_right)

    @property
    def newly_wrong(self) -> pd.DataFrame:
        """The rows that only the old model has right, the new one's surest mistake first."""
        return self._by_confidence(self.old_right & ~self.new_right)

    @property
    def groups(self) -> NDArray[np.int64]:
        """The group of each row, numbered from 0."""
        return np.asarray(pd.factorize(self.rows["group"])[0], np.int64)

    def _right(self, model: str) -> NDArray[np.bool_]:
        return (self.rows[f"{model}_predicted"] == self.rows["label"]).to_numpy(bool)

    def _by_confidence(self, chosen: NDArray[np.bool_]) -> pd.DataFrame:
        return self.rows[chosen].sort_values("new_confidence", ascending=False, kind="stable")


@dataclass(frozen=True)
class Comparison:
    """Two models' accuracy on the same images; shares, not per cent."""

    images: int
    groups: int
    old_accuracy: float
    new_accuracy: float
    difference: float  # new minus old
    interval: Interval  # of the difference, 95 %, for other images of this kind; -1 to 1 where groups are too few
    widened: Interval  # … and for other seeds of their recipes
    newly_right: int
    newly_wrong: int
    p_value: float  # exact McNemar test, two-sided
    verdict: Verdict


def pair(old: pd.DataFrame, new: pd.DataFrame) -> Paired:
    """Join two tables of predictions (reports/predictions.parquet) on the picture, whatever its file is called.

    Only each data set's own test counts, which is its first part. Labels must number the same classes in both (see
    `renumbered`). Raises WaymarkError where no image is shared, or where a table lacks a column.
    """
    before, after = _own(old, "old"), _own(new, "new")
    rows = before.drop(columns=["archive", "member", "group"]).merge(after, on=_SAME).sort_values(_SAME)
    left_before, left_after = (
        side[~side[f"{name}_row"].isin(rows[f"{name}_row"])]["pixels_sha256"].value_counts()
        for name, side in (("old", before), ("new", after))
    )
    relabelled = int(pd.concat([left_before, left_after], axis=1).fillna(0).min(axis=1).sum())
    if rows.empty:
        raise WaymarkError(
            f"the old test of {len(before):,} images and the new one of {len(after):,} share none under the same label"
            f" ({relabelled:,} under another one): models are compared on the same images, so test both on one data set"
        )
    return Paired(
        rows.drop(columns="copy").reset_index(drop=True),
        only_old=len(before) - len(rows) - relabelled,
        only_new=len(after) - len(rows) - relabelled,
        relabelled=relabelled,
    )


def _own(predictions: pd.DataFrame, which: str) -> pd.DataFrame:
    if missing := [column for column in (*_IMAGE, *_ANSWER) if column not in predictions.columns]:
        raise WaymarkError(
            f"the {which} predictions have no column {', '.join(missing)}: an earlier version of Waymark wrote them;"
            " run `dvc repro` there with this one"
        )
    own = predictions.assign(row=np.arange(len(predictions)))
    own = own[own["part"] == own["part"].iloc[0]] if len(own) else own
    own = own.sort_values(["pixels_sha256", "label", "archive", "member"], kind="stable")
    own["copy"] = own.groupby(["pixels_sha256", "label"]).cumcount()
    prefixed = own[[*_ANSWER, "row"]].add_prefix(f"{which}_")
    return pd.concat([own[[*_SAME, "archive", "member", "group"]], prefixed], axis=1)


def renumbered(predictions: pd.DataFrame, class_names: Sequence[str], others: Sequence[str]) -> pd.DataFrame:
    """`predictions` of a model that knows `class_names`, with the numbers that `others` give to classes of these names.

    A class that `others` do not name gets a number beyond theirs: a new class in a folder moves those after it.
    """
    known = {name: number for number, name in enumerate(others)}
    numbers = np.array([known.setdefault(name, len(known)) for name in class_names], np.int64)
    return predictions.assign(
        label=numbers[predictions["label"].to_numpy(np.int64)],
        predicted=numbers[predictions["predicted"].to_numpy(np.int64)],
    )


def compare(paired: Paired, seed_std: float) -> Comparison:
    """Accuracy, and whether it really differs.

    `seed_std` is the standard deviation of test accuracy between seeds of one recipe. "better" and "worse" take both
    a McNemar p-value under 0.05 and an interval, widened by the spread of two seeds' difference, without 0.
    """
    change = paired.new_right.astype(np.int64) - paired.old_right
    newly_right, newly_wrong = int((change == 1).sum()), int((change == -1).sum())
    p_value = float(binomtest(newly_right, newly_right + newly_wrong).pvalue) if newly_right + newly_wrong else 1.0
    groups = paired.groups
    count = int(groups.max()) + 1
    sums = np.stack([np.bincount(groups, change), np.bincount(groups)], axis=1)
    difference = float(change.mean())
    plain = (-1.0, 1.0)
    if count >= FEWEST:
        drawn = np.concatenate([weights @ sums for weights in draws(count, RESAMPLES)])
        plain = interval(drawn[:, 0] / drawn[:, 1], count)
    widened = _widened(difference, plain, 1.96 * math.sqrt(2) * seed_std)
    return Comparison(
        images=len(change),
        groups=count,
        old_accuracy=float(paired.old_right.mean()),
        new_accuracy=float(paired.new_right.mean()),
        difference=difference,
        interval=plain,
        widened=widened,
        newly_right=newly_right,
        newly_wrong=newly_wrong,
        p_value=p_value,
        verdict=verdict(widened) if p_value < SIGNIFICANCE else "no real difference",
    )


def verdict(change: Interval) -> Verdict:
    """What an interval of an improvement says: "better" lies wholly above 0."""
    low, high = change
    return "better" if low > 0 else "worse" if high < 0 else "no real difference"


def _widened(difference: float, plain: Interval, margin: float) -> Interval:
    """`plain` with an independent error of `margin` either way: their squares add up."""
    low, high = (math.hypot(difference - end, margin) for end in plain)
    return difference - low, difference + high


def movers(paired: Paired, class_count: int) -> pd.DataFrame:
    """What became of each class that has images: label, images, old_recall, new_recall, difference.

    The class that moved most stands first, whichever way.
    """
    labels = paired.rows["label"].to_numpy(np.int64)
    old, new = (
        metrics.recalls(metrics.confusion(labels, paired.rows[f"{model}_predicted"].to_numpy(np.int64), class_count))
        for model in ("old", "new")
    )
    table = pd.DataFrame(
        {
            "label": np.arange(class_count),
            "images": np.bincount(labels, minlength=class_count),
            "old_recall": old,
            "new_recall": new,
            "difference": new - old,
        }
    )
    table = table[table["images"] > 0]
    by_size = table["difference"].abs().round(9).sort_values(ascending=False, kind="stable").index
    return table.loc[by_size].reset_index(drop=True)
