"""What differs between two states of the data: archives by their hashes, images by their pictures."""

from dataclasses import dataclass

import pandas as pd

from waymark.reporting.changes import Change, different
from waymark.reporting.snapshot import Snapshot


@dataclass(frozen=True)
class ImageChanges:
    """Rows of the manifests; the pairs have the columns of both as old_… and new_…."""

    added: pd.DataFrame
    removed: pd.DataFrame
    relabelled: pd.DataFrame  # the same picture under another class
    moved: pd.DataFrame  # … under the same class in another split
    redrawn: pd.DataFrame  # another picture in the same place


def archives(old: Snapshot, new: Snapshot) -> list[Change]:
    """By SHA-256; none where either state's archives are not known."""
    if old.archives is None or new.archives is None:
        return []
    before, after = (
        {name: str(archive.get("sha256", "")) for name, archive in state.archives.items()}  # type: ignore[union-attr]
        for state in (old, new)
    )
    return [Change(name, before.get(name, ""), after.get(name, "")) for name in sorted(different(before, after))]


_KEPT = ["archive", "member", "class_name", "split", "content"]


def images(old: pd.DataFrame, new: pd.DataFrame) -> ImageChanges:
    """Between two manifests. An image is its picture, whatever its file is called; several alike are told by number."""
    left, right = _contents(old), _contents(new)
    _, left, right = _matched(left, right, ["content", "split", "class_name"])
    same, left, right = _matched(left, right, ["content"])
    redrawn, left, right = _matched(left, right, ["archive", "member"])
    other_class = same["old_class_name"] != same["new_class_name"]
    return ImageChanges(right, left, same[other_class], same[~other_class], redrawn)


def _contents(manifest: pd.DataFrame) -> pd.DataFrame:
    place = manifest["archive"] + " " + manifest["member"]
    content = manifest["pixels_sha256"].fillna(manifest["bytes_sha256"]).fillna(place)  # damaged ones have no pixels
    rows = manifest.assign(content=content)[_KEPT]
    return rows.fillna("").sort_values(["archive", "member"], kind="stable")


def _matched(
    left: pd.DataFrame, right: pd.DataFrame, keys: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The pairs that agree in `keys`, the n-th of one side with the n-th of the other; and what each side has left."""
    numbered = [
        side.assign(copy=side.groupby(keys).cumcount()).set_index([*keys, "copy"], drop=False) for side in (left, right)
    ]
    shared = numbered[0].index.intersection(numbered[1].index, sort=False)
    pairs = pd.concat(
        [
            side.loc[shared, _KEPT].reset_index(drop=True).add_prefix(which)
            for side, which in zip(numbered, ("old_", "new_"), strict=True)
        ],
        axis=1,
    )
    rest = [side.loc[~side.index.isin(shared), _KEPT].reset_index(drop=True) for side in numbered]
    return pairs, rest[0], rest[1]
