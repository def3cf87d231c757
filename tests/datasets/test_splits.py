"""Groups never straddle a split."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waymark.datasets import splits
from waymark.errors import WaymarkError


def manifest(tracks_of_class: list[int], frames: int = 3) -> pd.DataFrame:
    train = [
        {"split": "train", "label": label, "group": f"{label:05d}_{track:05d}"}
        for label, tracks in enumerate(tracks_of_class)
        for track in range(tracks)
        for _ in range(frames)
    ]
    test = [{"split": "test", "label": label, "group": f"test {label}"} for label in range(len(tracks_of_class))]
    return pd.DataFrame(train + test)


@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.floats(0.01, 0.5), st.integers(0, 99))
def test_track_never_straddles_a_split(tracks: list[int], fraction: float, seed: int) -> None:
    rows = manifest(tracks)
    rows["split"] = splits.split(rows, fraction, seed)
    assert (rows.groupby("group")["split"].nunique() == 1).all()


@given(st.lists(st.integers(3, 40), min_size=1, max_size=8), st.floats(0.01, 0.5), st.integers(0, 99))
def test_each_class_has_two_tracks_or_more_in_val_and_one_in_train(
    tracks: list[int], fraction: float, seed: int
) -> None:
    rows = manifest(tracks)
    rows["split"] = splits.split(rows, fraction, seed)
    of_split = rows.groupby(["split", "label"])["group"].nunique().unstack()
    assert (of_split.loc["val"] >= 2).all()
    assert (of_split.loc["train"] >= 1).all()
    assert list(of_split.loc["val"]) == [max(2, min(round(fraction * n), n - 1)) for n in tracks]


def test_the_same_seed_gives_the_same_split_whatever_the_row_order() -> None:
    rows = manifest([10, 10])
    shuffled = rows.sample(frac=1, random_state=1)
    first, second = splits.split(rows, 0.2, seed=3), splits.split(shuffled, 0.2, seed=3)
    assert first.equals(second.sort_index())
    assert not first.equals(splits.split(rows, 0.2, seed=4))


def test_rows_of_the_test_split_stay_there() -> None:
    rows = manifest([5, 5])
    assert (splits.split(rows, 0.5, 0) == "test").equals(rows["split"] == "test")


def test_a_val_split_of_the_archive_s_own_is_kept() -> None:
    rows = manifest([5, 5])
    rows.loc[:2, "split"] = "val"
    assert splits.split(rows, 0.5, 0).equals(rows["split"])


def test_a_track_in_two_splits_is_refused() -> None:  # D9
    rows = manifest([5])
    rows.loc[0, "split"] = "val"
    with pytest.raises(WaymarkError, match="group 00000_00000 has images in more than one split"):
        splits.check(rows)


def test_a_class_of_one_track_leaves_no_val_and_says_so() -> None:
    with pytest.raises(WaymarkError, match="no image is left for val"):
        splits.split(manifest([1]), 0.2, 0)
