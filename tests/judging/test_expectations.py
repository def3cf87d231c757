import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from waymark.errors import WaymarkError
from waymark.judging import expectations, manifest_tables
from waymark.judging.expectations import Verdict

SUITES = Path(__file__).parents[2] / "expectations"
CLASSES = tuple(f"class {label}" for label in range(43))


def sound_manifest() -> pd.DataFrame:
    """Each class with a track of three frames and one test image; two more tracks of class 14."""
    rows: list[dict[str, Any]] = []
    for label, track in [*((label, 0) for label in range(43)), (14, 23), (14, 24)]:
        group = f"{label:05d}_{track:05d}"
        for frame in range(3):
            member = f"Train/{label}/{group}_{frame:05d}.png"
            rows.append({"member": member, "split": "train", "label": label, "group": group, "frame": frame})
    for label in range(43):
        group = f"test_{label:05d}"
        rows.append({"member": f"Test/{label:05d}.png", "split": "test", "label": label, "group": group, "frame": 0})
    manifest = pd.DataFrame(rows).astype({"label": "Int16", "frame": "Int32"})
    return manifest.assign(
        archive="archive.zip",
        row="",
        problem="",
        width=30,
        height=30,
        contrast=40.0,
        roi_x1=5,
        roi_y1=5,
        roi_x2=24,
        roi_y2=24,
        bytes_sha256=[f"bytes {row}" for row in range(len(rows))],
        pixels_sha256=[f"pixels {row}" for row in range(len(rows))],
    )


def verdict(manifest: pd.DataFrame, suite: str = "gtsrb") -> Verdict:
    return expectations.check(manifest_tables.tables(manifest, CLASSES), expectations.load(SUITES / f"{suite}.yaml"))


def at(manifest: pd.DataFrame, member: str) -> int:
    return int(np.flatnonzero(manifest["member"].to_numpy() == member)[0])


def broken(manifest: pd.DataFrame, suite: str = "gtsrb") -> dict[str, tuple[str, ...]]:
    return {outcome.expectation.name: outcome.offenders for outcome in verdict(manifest, suite).broken}


@pytest.mark.parametrize("suite", ["gtsrb", "rendered"])
def test_sound_manifest_breaks_nothing(suite: str) -> None:
    found = verdict(sound_manifest(), suite)
    assert [outcome.expectation.name for outcome in found.outcomes if not outcome.success] == []
    assert len(found.outcomes) == 19


def test_track_in_two_splits_is_broken_on_each_of_its_frames() -> None:
    manifest = sound_manifest()
    manifest.loc[at(manifest, "Train/3/00003_00000_00001.png"), "split"] = "val"
    offenders = broken(manifest)["track_is_in_one_split"]
    assert len(offenders) == 3
    assert offenders[0] == ("archive.zip: member Train/3/00003_00000_00000.png: 00003_00000 is in train and val")


@pytest.mark.parametrize(
    ("column", "name"),
    [("bytes_sha256", "no_file_in_a_later_split"), ("pixels_sha256", "no_picture_in_a_later_split")],
)
def test_test_image_in_train_is_broken_on_the_training_image(column: str, name: str) -> None:
    manifest = sound_manifest()
    train, test = at(manifest, "Train/14/00014_00024_00000.png"), at(manifest, "Test/00014.png")
    manifest.loc[train, column] = manifest.loc[test, column]
    kind = "bytes" if column == "bytes_sha256" else "pixels"
    assert broken(manifest) == {
        name: (f"archive.zip: member Train/14/00014_00024_00000.png: the same {kind} as archive.zip Test/00014.png",)
    }


def test_published_overlap_is_excepted_in_gtsrb_and_in_no_other_suite() -> None:
    manifest = sound_manifest()
    train, test = at(manifest, "Train/14/00014_00023_00000.png"), at(manifest, "Test/00014.png")
    for column in ("bytes_sha256", "pixels_sha256"):
        manifest.loc[train, column] = manifest.loc[test, column]
    assert broken(manifest, "gtsrb") == {}
    assert broken(manifest, "rendered").keys() == {"no_file_in_a_later_split", "no_picture_in_a_later_split"}


def test_picture_under_two_labels_names_both() -> None:
    manifest = sound_manifest()
    one, other = at(manifest, "Train/3/00003_00000_00000.png"), at(manifest, "Train/4/00004_00000_00000.png")
    manifest.loc[one, "pixels_sha256"] = manifest.loc[other, "pixels_sha256"]
    assert broken(manifest)["picture_has_one_label"] == (
        "archive.zip: member Train/3/00003_00000_00000.png: "
        "the same pixels as archive.zip Train/4/00004_00000_00000.png with label 4",
        "archive.zip: member Train/4/00004_00000_00000.png: "
        "the same pixels as archive.zip Train/3/00003_00000_00000.png with label 3",
    )


def test_gap_and_copy_within_a_track_are_warnings() -> None:
    manifest = sound_manifest()
    first, second = at(manifest, "Train/3/00003_00000_00000.png"), at(manifest, "Train/3/00003_00000_00001.png")
    manifest.loc[second, "pixels_sha256"] = manifest.loc[first, "pixels_sha256"]
    last = at(manifest, "Train/5/00005_00000_00002.png")
    manifest.loc[last, "frame"] = 4
    found = verdict(manifest)
    assert found.broken == ()
    assert {outcome.expectation.name: outcome.offenders for outcome in found.warnings} == {
        "picture_stands_once": (
            "archive.zip: member Train/3/00003_00000_00001.png: "
            "the same pixels as archive.zip Train/3/00003_00000_00000.png",
        ),
        "track_has_no_gap": (
            "archive.zip: member Train/5/00005_00000_00002.png: frame 2 of 00005_00000 is missing before it",
        ),
    }


def test_tracks_that_keep_every_third_frame_have_no_gap() -> None:
    manifest = sound_manifest()
    manifest["frame"] *= 3
    assert verdict(manifest).warnings == ()


def test_class_whose_images_all_have_a_problem_counts_as_empty() -> None:
    manifest = sound_manifest()
    manifest.loc[(manifest["label"] == 7) & (manifest["split"] == "train"), "problem"] = "zero bytes"
    assert broken(manifest)["class_has_training_images"] == ("class 7 (class 7): no sound image in train",)


@pytest.mark.parametrize(
    ("column", "value", "name", "reason"),
    [
        ("label", 43, "label_is_a_class", "label 43 is not one of 0 to 42"),
        ("label", -1, "label_is_a_class", "label -1 is not one of 0 to 42"),
        ("width", 4097, "width_is_usable", "is 4097 px wide"),
        ("height", 1, "height_is_usable", "is 1 px high"),
        ("contrast", 0.0, "picture_shows_something", "shows nothing"),
        ("roi_x1", -1, "box_starts_left_inside", "Roi.X1 is -1"),
        ("roi_x2", 30, "box_ends_right_inside", "Roi.X2 is 30 in an image 30 px wide"),
        ("roi_y2", 5, "box_has_a_height", "Roi.Y2 is 5, Roi.Y1 is 5"),
    ],
)
def test_value_out_of_its_range_is_named(column: str, value: float, name: str, reason: str) -> None:
    manifest = sound_manifest()
    manifest.loc[at(manifest, "Train/9/00009_00000_00002.png"), column] = value
    (offender,) = broken(manifest)[name]
    assert offender.startswith(f"archive.zip: member Train/9/00009_00000_00002.png: {reason}")


def test_sentence_names_five_and_counts_the_rest() -> None:
    manifest = sound_manifest()
    manifest.loc[:6, "problem"] = "zero bytes"
    sentence = next(o for o in verdict(manifest).broken if o.expectation.name == "entry_is_sound").sentence()
    assert sentence.count("zero bytes") == 5
    assert sentence.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("expectations: [{name: a}]", "missing 6 required positional arguments"),
        ("include: none.yaml", "none.yaml: cannot be read"),
        ("exceptions: [{expectations: [a], groups: [b], because: c}]", "not a suite of expectations ('a')"),
        ("- list", "not a suite"),
        ("a: [", "not a suite"),
    ],
)
def test_suite_file_that_is_wrong_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(WaymarkError, match=re.escape(reason)):
        expectations.load(tmp_path / "suite.yaml")


@pytest.mark.parametrize(
    ("kind", "arguments", "reason"),
    [
        ("ExpectNothing", "{}", "Great Expectations refuses it"),
        ("ExpectColumnValuesToBeBetween", "{colum: label}", "Great Expectations refuses it"),
        ("ExpectColumnValuesToBeBetween", "{column: lable, min_value: 0}", "cannot be checked"),
    ],
)
def test_expectation_that_is_wrong_is_named(tmp_path: Path, kind: str, arguments: str, reason: str) -> None:
    entry = f"name: odd, guards: g, severity: error, table: images, type: {kind}, arguments: {arguments}, offender: o"
    (tmp_path / "suite.yaml").write_text(f"expectations: [{{{entry}}}]")
    tables = manifest_tables.tables(sound_manifest(), CLASSES)
    with pytest.raises(WaymarkError, match=f"expectation odd: {reason}"):
        expectations.check(tables, expectations.load(tmp_path / "suite.yaml"))
