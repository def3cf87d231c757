"""The tables that expectations are checked on: the manifest with what follows from it, and one row a class."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

SPLITS = ("train", "val", "test")
USUAL = 0.9  # share of the tracks that must begin, or end, at one frame for the others to be called incomplete


def tables(manifest: pd.DataFrame, class_names: tuple[str, ...], expected_images: int = 0) -> dict[str, pd.DataFrame]:
    """`images`: the manifest, with columns that say in words what is odd about a row; `classes`: images a class.

    `expected_images` is the declared number of training images, 0 where any number will do.
    """
    place = manifest["archive"] + " " + manifest["member"]
    images = manifest.assign(
        unknown_label=_unknown_label(manifest, len(class_names)),
        undeclared_count=_undeclared_count(manifest, expected_images),
        straddles=_straddles(manifest),
        bytes_in_later_split=_in_later_split(manifest, "bytes_sha256", place),
        pixels_in_later_split=_in_later_split(manifest, "pixels_sha256", place),
        pixels_under_other_label=_under_other_label(manifest, place),
        pixels_again=_again(manifest, place),
        missing_frames=_missing_frames(manifest),
    )
    return {"images": images, "classes": _classes(manifest, class_names)}


def with_share(
    classes: pd.DataFrame, column: str, counts: Sequence[int] | Literal["equal"], slack: int
) -> pd.DataFrame:
    """`classes` with `share`: how many times as much of the sum of `column` a class has as of the sum of `counts`.

    It is 1 where the two differ by `slack` images or fewer, since a few images tell nothing of a share. ValueError
    where `counts` are not one number a class.
    """
    reference = np.ones(len(classes)) if counts == "equal" else np.asarray(counts, float)
    if len(reference) != len(classes):
        raise ValueError(f"{len(reference)} counts for {len(classes)} classes")
    found = classes[column].to_numpy(float)
    expected = reference / reference.sum() * found.sum()
    share = np.divide(found, expected, out=np.ones_like(found), where=np.abs(found - expected) > slack)
    return classes.assign(share=share.round(2))


def _unknown_label(manifest: pd.DataFrame, classes: int) -> pd.Series:
    labels = manifest["label"].dropna()
    odd = labels[(labels < 0) | (labels >= classes)]
    return _column(manifest, {row: f"label {label} is not one of 0 to {classes - 1}" for row, label in odd.items()})


def _undeclared_count(manifest: pd.DataFrame, declared: int) -> pd.Series:
    """On the last training row, both numbers where they differ."""
    rows = manifest.index[manifest["split"] == "train"]
    if not declared or len(rows) in (0, declared):
        return _column(manifest, {})
    text = f"is the last of {len(rows):,} training images where {declared:,} are declared (expected_images)"
    return _column(manifest, {rows[-1]: text})


def _straddles(manifest: pd.DataFrame) -> pd.Series:
    """ "00014_00023 is in train and test" on each row of a group with more than one split."""
    pairs = manifest[["group", "split"]].drop_duplicates()
    pairs = pairs[pairs["group"].duplicated(keep=False)]
    texts = {
        group: f"{group} is in " + " and ".join(sorted(splits, key=SPLITS.index))
        for group, splits in pairs.groupby("group")["split"]
    }
    return manifest["group"].map(texts).astype(object)


def _in_later_split(manifest: pd.DataFrame, column: str, place: pd.Series) -> pd.Series:
    """Where the same content stands in a split that judges this row's: a test image in train, first of all."""
    rank = manifest["split"].map(SPLITS.index)
    known = manifest.assign(rank=rank, place=place).dropna(subset=column)
    last = known.sort_values("rank", ascending=False, kind="stable").drop_duplicates(column).set_index(column)
    return manifest[column].map(last["place"]).where(manifest[column].map(last["rank"]) > rank)


def _under_other_label(manifest: pd.DataFrame, place: pd.Series) -> pd.Series:
    """Where the same pixels stand first under another label than the row's."""
    known = manifest.assign(place=place).dropna(subset=["pixels_sha256", "label"])
    each = known.drop_duplicates(["pixels_sha256", "label"])
    each = each.assign(text=each["place"] + " with label " + each["label"].astype(str))
    of_first, of_second = (
        rows.drop_duplicates("pixels_sha256").set_index("pixels_sha256")
        for rows in (each, each[each["pixels_sha256"].duplicated()])
    )
    pixels = known["pixels_sha256"]
    is_first = known["label"] == pixels.map(of_first["label"])
    text = pixels.map(of_first["text"]).mask(is_first, pixels.map(of_second["text"]))
    return _column(manifest, text.dropna().to_dict())


def _again(manifest: pd.DataFrame, place: pd.Series) -> pd.Series:
    """Where the same pixels stood before under the same label, in the same split."""
    keys = ["pixels_sha256", "label", "split"]
    known = manifest.assign(place=place).dropna(subset=keys)
    first = known.groupby(keys)["place"].transform("first")
    repeated = known.duplicated(keys)
    return _column(manifest, dict(first[repeated].items()))


def _missing_frames(manifest: pd.DataFrame) -> pd.Series:
    """On the row beside a gap in a track, the first frame that is missing there.

    Frames may be a fixed step apart. Where nearly all tracks begin at one frame, end at one frame or have one step, so
    must the others. A row with a problem is no gap: it is named for its problem.
    """
    frames = manifest.loc[manifest["split"] != "test", ["group", "frame"]].astype({"frame": "float64"})
    frames = frames.sort_values(["group", "frame"], kind="stable")
    group, frame = frames["group"], frames["frame"]
    before = frame.groupby(group).diff()
    steps = before.where(before > 0).groupby(group).min()
    if not math.isnan(usual := _usual(steps)):
        steps[:] = usual
    step = group.map(steps).fillna(1)
    begins, ends = (_usual(frame.groupby(group).agg(end)) for end in ("min", "max"))
    sound = manifest.loc[frames.index, "problem"] == ""
    gaps = (
        ("after", ~group.duplicated(keep="last") & (frame < ends), frame + step),
        ("before", ~group.duplicated() & (frame > begins), frame * 0 + begins),
        ("before", before > step, frame - before + step),
    )
    texts: dict[Hashable, str] = {}
    for side, found, missing in gaps:
        for row in frames.index[found & sound]:
            texts[row] = f"frame {missing[row]:.0f} of {group[row]} is missing {side} it"
    return _column(manifest, texts)


def _usual(values: pd.Series) -> float:
    """The value that nearly all tracks have; NaN, which nothing is above or below, where there is no such value."""
    counts = values.dropna().value_counts()
    return float(counts.index[0]) if len(counts) and counts.iloc[0] >= USUAL * counts.sum() else math.nan


def _column(manifest: pd.DataFrame, texts: Mapping[Hashable, str]) -> pd.Series:
    return pd.Series([texts.get(row) for row in manifest.index], manifest.index, dtype=object)


def _classes(manifest: pd.DataFrame, class_names: tuple[str, ...]) -> pd.DataFrame:
    sound = manifest[manifest["problem"] == ""]
    counts = pd.crosstab(sound["label"], sound["split"]).reindex(
        index=range(len(class_names)), columns=["train", "test"], fill_value=0
    )
    return pd.DataFrame(
        {
            "label": range(len(class_names)),
            "class_name": class_names,
            "train_images": counts["train"].to_numpy(),
            "test_images": counts["test"].to_numpy() if (manifest["split"] == "test").any() else math.nan,
        }
    )
