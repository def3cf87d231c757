"""The tables that expectations are checked on: the manifest with what follows from it, and one row a class."""

from collections.abc import Hashable, Mapping

import pandas as pd

SPLITS = ("train", "val", "test")


def tables(manifest: pd.DataFrame, class_names: tuple[str, ...]) -> dict[str, pd.DataFrame]:
    """`images`: the manifest, with columns that say in words what is odd about a row; `classes`: images a class."""
    place = manifest["archive"] + " " + manifest["member"]
    images = manifest.assign(
        straddles=_straddles(manifest),
        bytes_in_later_split=_in_later_split(manifest, "bytes_sha256", place),
        pixels_in_later_split=_in_later_split(manifest, "pixels_sha256", place),
        pixels_under_other_label=_under_other_label(manifest, place),
        pixels_again=_again(manifest, place),
        missing_frames=_missing_frames(manifest),
    )
    return {"images": images, "classes": _classes(manifest, class_names)}


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
    known = manifest.assign(place=place).dropna(subset=["pixels_sha256", "label"])
    first = known.drop_duplicates(["pixels_sha256", "label"])
    first = first[first["pixels_sha256"].duplicated(keep=False)]
    texts = {}
    for pixels, twins in first.groupby("pixels_sha256"):
        for label in twins["label"]:
            other = twins[twins["label"] != label].iloc[0]
            texts[pixels, label] = f"{other['place']} with label {other['label']}"
    keys = zip(manifest["pixels_sha256"], manifest["label"], strict=True)
    return pd.Series([texts.get(key) for key in keys], manifest.index, dtype=object)


def _again(manifest: pd.DataFrame, place: pd.Series) -> pd.Series:
    """Where the same pixels stood before under the same label, in the same split."""
    keys = ["pixels_sha256", "label", "split"]
    known = manifest.assign(place=place).dropna(subset=keys)
    first = known.groupby(keys)["place"].transform("first")
    repeated = known.duplicated(keys)
    return _column(manifest, dict(first[repeated].items()))


def _missing_frames(manifest: pd.DataFrame) -> pd.Series:
    """On the frame after a gap, what is missing; the step between frames is the track's own smallest."""
    sound = manifest[manifest["problem"] == ""].sort_values(["group", "frame"], kind="stable")
    step = sound.groupby("group")["frame"].diff()
    usual = step.where(step > 0).groupby(sound["group"]).transform("min")
    gaps = sound.assign(missing=sound["frame"] - step + usual)[(step > usual).fillna(False)]
    texts = (f"frame {frame} of {group}" for frame, group in zip(gaps["missing"], gaps["group"], strict=True))
    return _column(manifest, dict(zip(gaps.index, texts, strict=True)))


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
            "test_images": counts["test"].to_numpy(),
        }
    )
