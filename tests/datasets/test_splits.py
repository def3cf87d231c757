"""Nothing is both learned and asked: groups, near-duplicates and neighbouring frames stay on one side."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waymark.datasets import splits
from waymark.datasets.base import Grouping
from waymark.datasets.gtsrb import TrafficSigns
from waymark.datasets.splits import Plan
from waymark.errors import WaymarkError

SIGNS = TrafficSigns("signs", ())
NONE = pd.DataFrame({"first": [], "second": []}, dtype="int32")


@dataclass(frozen=True)
class Kind(TrafficSigns):
    grouping: Grouping = "frames"
    own_test: bool = False

    def class_names(self, folder: Path) -> tuple[str, ...]:
        return ("A", "B")


def plan(val: float = 0.15, test: float = 0.15, subset: float = 1.0, seed: int = 0) -> Plan:
    return Plan(val_fraction=val, test_fraction=test, subset=subset, seed=seed)


def pairs(*found: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(found, columns=["first", "second"], dtype="int32")


def manifest(tracks_of_class: list[int], frames: int = 3) -> pd.DataFrame:
    train = [
        {"split": "train", "label": label, "group": f"{label:05d}_{track:05d}", "frame": frame}
        for label, tracks in enumerate(tracks_of_class)
        for track in range(tracks)
        for frame in range(frames)
    ]
    test = [
        {"split": "test", "label": label, "group": f"test {label}", "frame": 0} for label in range(len(tracks_of_class))
    ]
    rows = pd.DataFrame(train + test)
    return rows.assign(archive="a.zip", part="", pixels_sha256=[f"picture {row}" for row in rows.index])


def video(frames: int = 1000) -> pd.DataFrame:
    """Two classes, each a video of `frames` frames in blocks of 100; no test part."""
    rows = [
        {"split": "train", "label": label, "group": f"{label}_{(number - 1) // 100:04d}", "frame": number}
        for label in range(2)
        for number in range(1, frames + 1)
    ]
    pictures = [f"picture {row}" for row in range(len(rows))]
    return pd.DataFrame(rows).assign(archive="a.zip", part="same_signer", pixels_sha256=pictures)


def split(
    rows: pd.DataFrame, near: pd.DataFrame = NONE, how: Plan | None = None, like: TrafficSigns = SIGNS
) -> pd.Series:
    return splits.split(rows, near, like, how or plan())["split"]


def groups_of_class(rows: pd.DataFrame) -> dict[str, list[int]]:
    """The number of groups of each class, in the order of the labels, by split."""
    counts = rows.groupby(["split", "label"])["group"].nunique().unstack()
    return {str(name): list(of_split) for name, of_split in counts.iterrows()}


@settings(deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.floats(0.01, 0.5), st.integers(0, 99))
def test_track_never_straddles_a_split(tracks: list[int], fraction: float, seed: int) -> None:
    rows = manifest(tracks)
    rows["split"] = split(rows, how=plan(fraction, seed=seed))
    assert (rows.groupby("group")["split"].nunique() == 1).all()


@settings(deadline=None)
@given(st.lists(st.integers(3, 40), min_size=1, max_size=8), st.floats(0.01, 0.5), st.integers(0, 99))
def test_each_class_has_two_tracks_or_more_in_val_and_one_in_train(
    tracks: list[int], fraction: float, seed: int
) -> None:
    rows = manifest(tracks)
    rows["split"] = split(rows, how=plan(fraction, seed=seed))
    of_split = rows.groupby(["split", "label"])["group"].nunique().unstack()
    assert (of_split.loc["val"] >= 2).all()
    assert (of_split.loc["train"] >= 1).all()
    assert list(of_split.loc["val"]) == [max(2, min(round(fraction * n), n - 1)) for n in tracks]


@settings(deadline=None)
@given(st.data())
def test_near_duplicates_never_straddle_whatever_is_alike(data: st.DataObject) -> None:
    rows = manifest([12, 12, 12])
    row = st.integers(0, len(rows) - 1)
    found = data.draw(st.lists(st.tuples(row, row).filter(lambda pair: pair[0] != pair[1]), max_size=12))
    near = pairs(*found)
    made = splits.split(rows, near, SIGNS, plan(seed=data.draw(st.integers(0, 9))))
    assert not splits.like_later_split(rows.assign(split=made["split"]), near).any()
    used = made["split"].to_numpy()[near.to_numpy()]
    assert all(first == second or "left_out" in (first, second) for first, second in used)
    assert (
        rows.assign(split=made["split"]).query("split != 'left_out'").groupby("group")["split"].nunique() == 1
    ).all()
    assert ((made["split"] == "test") == (rows["split"] == "test")).all()


def test_tracks_that_near_duplicates_tie_together_go_together_under_the_first_one_s_name() -> None:
    rows = manifest([10])
    made = splits.split(rows, pairs((0, 3), (5, 9)), SIGNS, plan(0.5))
    together = [*range(6), 9, 10, 11]
    assert made["group"][together].unique().tolist() == ["00000_00000"]
    assert made["split"][together].nunique() == 1
    assert made["reason"].unique().tolist() == [""]


def test_track_with_a_near_duplicate_of_a_test_image_is_left_out_whole() -> None:
    rows = manifest([10])
    test = len(rows) - 1
    made = splits.split(rows, pairs((4, test)), SIGNS, plan())
    out = made[made["split"] == "left_out"]
    assert out.index.tolist() == [3, 4, 5]
    assert out["reason"].unique().tolist() == ["near-duplicate of a later split's image"]
    assert made["split"][test] == "test"


def test_the_same_seed_gives_the_same_split_whatever_the_order_of_the_rows() -> None:
    rows = manifest([10, 10])
    shuffled = rows.sample(frac=1, random_state=1)
    first, second = split(rows, how=plan(0.2, seed=3)), split(shuffled, how=plan(0.2, seed=3))
    assert first.equals(second.set_axis(shuffled.index).sort_index())
    assert not first.equals(split(rows, how=plan(0.2, seed=4)))


def test_rows_of_the_test_split_stay_there() -> None:
    rows = manifest([5, 5])
    assert (split(rows, how=plan(0.5)) == "test").equals(rows["split"] == "test")


def test_a_val_split_of_the_archive_s_own_is_kept() -> None:
    rows = manifest([5, 5])
    rows.loc[:2, "split"] = "val"
    assert split(rows, how=plan(0.5)).equals(rows["split"])


def test_without_a_test_part_one_is_drawn_from_the_groups_of_each_class() -> None:
    rows = manifest([20, 10])
    rows = rows[rows["split"] == "train"]
    rows = rows.assign(split=split(rows, how=plan(0.2, 0.3)).to_numpy())
    assert groups_of_class(rows) == {"test": [6, 3], "val": [3, 2], "train": [11, 5]}


def test_subset_keeps_its_share_of_the_training_groups_of_each_class_and_all_of_the_test() -> None:
    rows = manifest([20, 40])
    made = splits.split(rows, NONE, SIGNS, plan(0.2, subset=0.25))
    rows = rows.assign(split=made["split"], reason=made["reason"])
    assert groups_of_class(rows[rows["split"] != "left_out"]) == {"test": [1, 1], "val": [2, 2], "train": [3, 8]}
    assert rows[rows["split"] == "left_out"]["reason"].unique().tolist() == ["not in the subset"]


def test_neighbouring_frames_of_a_video_are_apart_by_the_gap_across_splits() -> None:
    rows = video()
    rows["split"] = split(rows, like=Kind("video", ()))
    for _, of_class in rows[rows["split"] != "left_out"].groupby("label"):
        ordered = of_class.sort_values("frame")
        changes = ordered["split"] != ordered["split"].shift()
        assert (ordered["frame"].diff()[changes].dropna() > splits.GAP).all()
    counts = rows["split"].value_counts()
    assert counts["test"] == 400  # two blocks a class
    assert counts["train"] > 800
    assert counts["val"] >= 200


def test_near_duplicate_across_the_blocks_of_a_video_is_left_out_alone() -> None:  # D27
    rows = video()
    made = split(rows, like=Kind("video", ()))
    train, test = rows.index[made == "train"][0], rows.index[made == "test"][0]
    again = splits.split(rows, pairs((train, test)), Kind("video", ()), plan())
    assert again.loc[train].tolist()[:2] == ["left_out", "near-duplicate of a later split's image"]
    assert (again["split"] != made).sum() == 1


def test_near_duplicate_frames_across_a_split_are_refused_by_name() -> None:  # D27
    rows = video().assign(member=[f"A/A{n}.jpg" for n in range(2000)])
    rows.loc[7, "split"] = "test"
    rows["group"] = rows.index.astype(str)
    with pytest.raises(WaymarkError) as refused:
        splits.check(rows, pairs((3, 7)))
    assert str(refused.value) == (
        "a.zip: member A/A3.jpg in train is a near-duplicate of an image in a later split (1 such)"
    )


def test_random_split_takes_each_image_for_itself_and_leaves_nothing_out() -> None:
    rows = manifest([20], frames=10)
    near = pairs(*((10 * track, 10 * track + 1) for track in range(20)))
    made = splits.split(rows, near, SIGNS, Plan(0.15, 0.15, 1.0, 0, kind="random"))
    assert (made["split"] == "left_out").sum() == 0
    assert made["split"].value_counts().to_dict() == {"train": 170, "val": 30, "test": 1}
    assert splits.like_later_split(rows.assign(split=made["split"]), near).sum() > 0


def test_a_track_in_two_splits_is_refused() -> None:  # D9
    rows = manifest([5])
    rows.loc[0, "split"] = "val"
    with pytest.raises(WaymarkError, match="group 00000_00000 has images in more than one split"):
        splits.check(rows, NONE)


def test_a_class_of_one_track_leaves_no_val_and_says_so() -> None:
    with pytest.raises(WaymarkError, match="no image is left for val"):
        split(manifest([1]))


def test_blocks_of_each_split_are_spread_over_the_whole_video() -> None:
    rows = video(3000)
    rows["split"] = split(rows, like=Kind("video", ()))
    for name in ("val", "test"):
        for _, video_of_class in rows[rows["split"] == name].groupby("label"):
            thirds = (video_of_class["frame"] - 1) // 1000
            assert set(thirds) >= {0, 1, 2}


def test_copies_of_a_left_out_picture_do_not_straddle_either() -> None:
    rows = video(3000)
    made = split(rows, like=Kind("video", ()))
    out, train, test = (rows.index[made == name][0] for name in ("left_out", "train", "test"))
    rows.loc[[out, train, test], "pixels_sha256"] = "one picture"
    near = pairs(*((min(out, other), max(out, other)) for other in (train, test)))
    again = split(rows, near, like=Kind("video", ()))
    assert again[[out, train, test]].tolist() == ["left_out", "left_out", "test"]


def test_subset_leaves_groups_enough_for_val_and_for_a_test_that_is_drawn() -> None:
    rows = video(600)
    rows["split"] = split(rows, how=plan(subset=0.05), like=Kind("video", ()))
    used = groups_of_class(rows[rows["split"] != "left_out"])
    assert used == {"test": [2, 2], "train": [1, 1], "val": [2, 2]}


@pytest.mark.parametrize(
    ("groups", "expected"), [(5, (1, 2, 2)), (4, (1, 1, 2)), (3, (1, 1, 1)), (2, (1, 1, 0)), (1, (1, 0, 0))]
)
def test_few_groups_of_a_class_are_shared_out_and_one_stays_to_learn_from(
    groups: int, expected: tuple[int, int, int]
) -> None:
    rows = manifest([20, groups])
    rows = rows[rows["split"] == "train"].reset_index(drop=True)
    rows["split"] = split(rows)
    of_class = rows[rows["label"] == 1].groupby("split")["group"].nunique()
    assert tuple(of_class.get(name, 0) for name in ("train", "val", "test")) == expected
    assert splits.short_classes(rows) == {
        name: [1] for name, count in zip(("train", "val", "test"), expected, strict=True) if not count
    }


def test_class_that_only_copies_test_images_is_refused() -> None:
    rows = manifest([5, 2])
    test = len(rows) - 1
    near = pairs(*((row, test) for row in rows.index[(rows["label"] == 1) & (rows["split"] == "train")]))
    with pytest.raises(WaymarkError) as refused:
        splits.split(rows, near, SIGNS, plan())
    reason = "near-duplicate of a later split's image"
    assert str(refused.value) == f"class 1 has no image left to learn from (6 left out: {reason})"
