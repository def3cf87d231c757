"""Which training groups become val: whole groups, class by class, so that near copies never straddle the split."""

import numpy as np
import pandas as pd

from waymark.errors import WaymarkError

MIN_GROUPS = 2  # one track of 30 frames would make a class's val accuracy all or nothing


def split(manifest: pd.DataFrame, val_fraction: float, seed: int) -> pd.Series:
    """The split of each row of `manifest` (columns split, label, group): train, val or test.

    Rows that the archives already call val or test keep their split. Of the others, `val_fraction` of the groups of
    each class go to val: two at least, but never the last one. A pure function of the rows, the fraction and the seed.
    """
    splits = manifest["split"].copy()
    if (splits == "val").any():
        return splits
    train = manifest[splits == "train"]
    label_of = train.groupby("group", sort=True)["label"].first()
    chosen: list[str] = []
    for label, of_class in label_of.groupby(label_of, sort=True):
        groups = of_class.index.to_numpy()
        count = min(max(MIN_GROUPS, round(val_fraction * len(groups))), len(groups) - 1)
        chosen += list(np.random.default_rng([seed, int(label)]).permutation(groups)[:count])
    splits[(splits == "train") & manifest["group"].isin(chosen)] = "val"
    check(manifest.assign(split=splits))
    return splits


def check(manifest: pd.DataFrame) -> None:
    """Raise WaymarkError where a group has images in more than one split, or a split has none."""
    straddling = manifest.groupby("group")["split"].nunique()
    if len(wrong := straddling[straddling > 1].index):
        raise WaymarkError(f"group {wrong[0]} has images in more than one split ({len(wrong)} such groups)")
    for name in ("train", "val", "test"):
        if not (manifest["split"] == name).any():
            raise WaymarkError(f"no image is left for {name}; each class needs two groups or more for a val split")
