"""Which images are learned from, watched and judged on, so that nothing is both learned and asked.

What belongs together stays together: the frames of a track, the near-duplicates of a picture, the neighbouring frames
of a video. Where the archives fix a part (an official test), what is too near to it is left out of the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark.datasets import near_duplicates
from waymark.datasets.base import Dataset
from waymark.errors import WaymarkError

MIN_GROUPS = 2  # one track of 30 frames would make a class's val accuracy all or nothing
# Frames around a block of val or test frames that are not learned from. On the ASL cut the thumbnails of two frames
# correlate by 0.99 when neighbours, by 0.6 to 0.9 when 10 to 30 apart; what is alike beyond the gap goes by its hash.
GAP = 15
RANK = {"train": 0, "val": 1, "test": 2}  # a split judges those of lower rank
LEFT_OUT = "left_out"


@dataclass(frozen=True)
class Plan:
    """How to split; the fractions count groups of each class."""

    val_fraction: float
    test_fraction: float
    subset: float
    seed: int
    kind: Literal["grouped", "random"] = "grouped"


def split(manifest: pd.DataFrame, pairs: pd.DataFrame, dataset: Dataset, plan: Plan) -> pd.DataFrame:
    """The columns `split` (train, val, test or left_out), `reason` and `group` for the rows of `manifest`.

    `manifest` has the columns archive, split, part, label, group, frame and pixels_sha256; `pairs` are its
    near-duplicates by row number. Val, and a test where the archives have none, are drawn from the training groups of
    each class. `random` takes every image for a group of its own and leaves nothing out: it shows what a careless split
    would report. A pure function of its arguments. Raises WaymarkError where a class is left without training images.
    """
    rows = manifest.reset_index(drop=True)
    rows["reason"] = ""
    own_test = (rows["split"] == "test").any() and dataset.own_test
    if plan.kind == "random":
        rows["group"] = [f"image {number}" for number in range(len(rows))]
    elif dataset.grouping != "frames":
        rows["group"] = _joined(rows, pairs)
    choose = _spread if plan.kind == "grouped" and dataset.grouping == "frames" else _shuffled
    missing = [name for name, there in (("test", own_test), ("val", (rows["split"] == "val").any())) if not there]
    if plan.subset < 1:
        _draw_subset(rows, plan, choose, at_least=len(missing) * MIN_GROUPS + 1)
    for later, name in enumerate(missing, 1):
        _draw(rows, name, plan, choose, spared=len(missing) - later + 1)
    if plan.kind == "grouped":
        if dataset.grouping == "frames":
            _leave_out(rows, _beside_later_split(rows), f"within {GAP} frames of a later split")
        like = like_later_split(rows, pairs)
        if dataset.grouping != "frames":  # the other pictures of the same thing go with it
            like |= (rows["group"].isin(rows["group"][like]) & (rows["split"] != "test")).to_numpy()
        _leave_out(rows, like, "near-duplicate of a later split's image")
        check(rows, pairs)
    _check_each_is_there(rows)
    return rows[["split", "reason", "group"]]


def check(rows: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Raise WaymarkError where a group or a pair of near-duplicates straddles the splits of `rows`."""
    used = rows[rows["split"] != LEFT_OUT]
    straddling = used.groupby("group")["split"].nunique()
    if len(wrong := straddling[straddling > 1].index):
        raise WaymarkError(f"group {wrong[0]} has images in more than one split ({len(wrong)} such groups)")
    if (like := like_later_split(rows, pairs)).any():
        row = int(like.argmax())
        place = f"{rows['archive'][row]}: member {rows['member'][row]}" if "member" in rows else f"row {row}"
        raise WaymarkError(
            f"{place} in {rows['split'][row]} is a near-duplicate of an image in a later split ({int(like.sum())} such)"
        )


def like_later_split(rows: pd.DataFrame, pairs: pd.DataFrame) -> NDArray[np.bool_]:
    """Of each row, whether its picture or a near-duplicate of it is used in a split that judges the row's.

    Copies of one picture count as that picture, whichever of them `pairs` names.
    """
    rank = rows["split"].map(RANK).to_numpy(np.float64, na_value=np.nan)  # NaN where left out: judged by none
    original = near_duplicates.first_copies(rows["pixels_sha256"])
    of_picture = np.full(len(rows), -1.0)
    np.maximum.at(of_picture, original, np.nan_to_num(rank, nan=-1.0))
    first, second = original[pairs["first"].to_numpy(np.int64)], original[pairs["second"].to_numpy(np.int64)]
    judged = of_picture.copy()
    np.maximum.at(judged, first, of_picture[second])
    np.maximum.at(judged, second, of_picture[first])
    return np.asarray(judged[original] > rank)


def _joined(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Groups, those that near-duplicates tie together made one, under the name of the first.

    Only within the training images: what a fixed part holds twice is its publisher's affair.
    """
    groups, names = pd.factorize(rows["group"])
    free = (rows["split"] == "train").to_numpy()
    both = free[pairs["first"]] & free[pairs["second"]]
    first, second = groups[pairs["first"][both]], groups[pairs["second"][both]]
    cluster = near_duplicates.clusters(len(names), first, second)
    first_name = pd.Series(names).groupby(cluster).first()
    return pd.Series(first_name[cluster[groups]].to_numpy(), rows.index)


_Choose = Callable[[list[str], int, np.random.Generator], list[str]]  # so many of the sorted groups


def _shuffled(groups: list[str], count: int, chance: np.random.Generator) -> list[str]:
    return [groups[place] for place in chance.permutation(len(groups))[:count]]


def _spread(groups: list[str], count: int, chance: np.random.Generator) -> list[str]:
    """Evenly over a video, from a random start: its scenes follow each other, and each split should see each."""
    places = (chance.random() + np.arange(count)) * len(groups) / max(count, 1)
    return [groups[int(place)] for place in places]


def _draw_subset(rows: pd.DataFrame, plan: Plan, choose: _Choose, at_least: int) -> None:
    kept = _chosen(rows, plan.subset, [plan.seed, 2], choose, at_least, spared=0)
    _leave_out(rows, ((rows["split"] == "train") & ~rows["group"].isin(kept)).to_numpy(), "not in the subset")


def _draw(rows: pd.DataFrame, name: str, plan: Plan, choose: _Choose, spared: int) -> None:
    """Move a share of the training groups of each class to `name`: two at least, as long as `spared` remain."""
    fraction, seed = (plan.test_fraction, [plan.seed, 1]) if name == "test" else (plan.val_fraction, [plan.seed])
    drawn = _chosen(rows, fraction, seed, choose, MIN_GROUPS, spared)
    rows.loc[(rows["split"] == "train") & rows["group"].isin(drawn), "split"] = name


def _chosen(
    rows: pd.DataFrame, fraction: float, seed: list[int], choose: _Choose, at_least: int, spared: int
) -> list[str]:
    train = rows[rows["split"] == "train"]
    label_of = train.groupby("group", sort=True)["label"].first()
    chosen: list[str] = []
    for label, of_class in label_of.groupby(label_of, sort=True):
        groups = list(of_class.index)
        count = max(min(max(at_least, round(fraction * len(groups))), len(groups) - spared), 0)
        chosen += choose(groups, count, np.random.default_rng([*seed, int(label)]))
    return chosen


def _leave_out(rows: pd.DataFrame, which: NDArray[np.bool_], reason: str) -> None:
    rows.loc[which, "reason"] = reason
    rows.loc[which, "split"] = LEFT_OUT


def _beside_later_split(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Frames at most GAP frames from one of the same video that a later split holds."""
    rank = rows["split"].map(RANK)
    beside = np.zeros(len(rows), bool)
    videos = rows[(rows["frame"] > 0) & rank.notna()].groupby(["archive", "label"], sort=True)
    for _, video in videos:
        for later in (1, 2):
            judges = np.sort(video["frame"][rank[video.index] == later].to_numpy(np.int64))
            judged = video[rank[video.index] < later]
            if len(judges) and len(judged):
                frames = judged["frame"].to_numpy(np.int64)
                after = np.searchsorted(judges, frames).clip(max=len(judges) - 1)
                before = (after - 1).clip(min=0)
                distance = np.minimum(abs(judges[after] - frames), abs(judges[before] - frames))
                beside[judged.index[distance <= GAP]] = True
    return beside


def short_classes(rows: pd.DataFrame) -> dict[str, list[int]]:
    """The classes of which each split holds no image, where there are such; `rows` has the columns split and label."""
    labels = set(rows["label"])
    held = {name: labels - set(rows.loc[rows["split"] == name, "label"]) for name in RANK}
    return {name: sorted(map(int, absent)) for name, absent in held.items() if absent}


def _check_each_is_there(rows: pd.DataFrame) -> None:
    for name in RANK:
        if not (rows["split"] == name).any():
            raise WaymarkError(f"no image is left for {name}; each class needs groups enough for train, val and test")
    for label in short_classes(rows).get("train", ()):
        reasons = rows.loc[rows["label"] == label, "reason"]
        because = f" ({(reasons != '').sum()} left out: {reasons[reasons != ''].iloc[0]})" if reasons.any() else ""
        raise WaymarkError(f"class {label} has no image left to learn from{because}")
