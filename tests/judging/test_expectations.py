import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from waymark.errors import WaymarkError
from waymark.judging import expectations, manifest_tables
from waymark.judging.expectations import Verdict

SUITES = Path(__file__).parents[2] / "expectations"
CLASSES = tuple(f"class {label}" for label in range(43))
# Training images a class as the organisers publish them, labels 0 to 42.
# fmt: off
OFFICIAL = [
    210, 2220, 2250, 1410, 1980, 1860, 420, 1440, 1410, 1470, 2010, 1320, 2100, 2160, 780,
    630, 420, 1110, 1200, 210, 360, 330, 390, 510, 270, 1500, 600, 240, 540, 270,
    450, 780, 240, 689, 420, 1200, 390, 210, 2070, 300, 360, 240, 240,
]
# fmt: on


LABELS = {"gtsrb": 43, "rendered": 43, "cifar10": 10, "asl": 29, "folder": 3}


def sound_manifest(suite: str = "gtsrb") -> pd.DataFrame:
    """Each class with a track of three frames and one test image, as bright as usual; two more tracks of class 14."""
    rows: list[dict[str, Any]] = []
    classes = range(LABELS[suite])
    for label, track in [*((label, 0) for label in classes), *([(14, 23), (14, 24)] if suite == "gtsrb" else [])]:
        group = f"{label:05d}_{track:05d}"
        for frame in range(3):
            member = f"Train/{label}/{group}_{frame:05d}.png"
            rows.append({"member": member, "split": "train", "label": label, "group": group, "frame": frame})
    for label in classes:
        group = f"test_{label:05d}"
        rows.append({"member": f"Test/{label:05d}.png", "split": "test", "label": label, "group": group, "frame": 0})
    manifest = pd.DataFrame(rows).astype({"label": "Int16", "frame": "Int32"})
    return manifest.assign(
        archive="archive.zip",
        row="",
        problem="",
        width=30,
        height=30,
        brightness=usual_light(suite, len(rows)),
        contrast=40.0,
        mode="RGB",
        orientation=1,
        roi_x1=5,
        roi_y1=5,
        roi_x2=24,
        roi_y2=24,
        bytes_sha256=[f"bytes {row}" for row in range(len(rows))],
        pixels_sha256=[f"pixels {row}" for row in range(len(rows))],
    )


def usual_light(suite: str, images: int) -> NDArray[np.float64]:
    """Brightness as the suite's own reference has it; the middle where it has none."""
    for entry in expectations.load(SUITES / f"{suite}.yaml"):
        if light := entry.arguments.get("partition_object"):
            middles = [(low + high) / 2 for low, high in pairwise(light["bins"])]
            return np.random.default_rng(0).choice(middles, images, p=light["weights"])
    return np.full(images, 127.0)


def verdict(manifest: pd.DataFrame, suite: str = "gtsrb", expected_images: int = 0) -> Verdict:
    tables = manifest_tables.tables(manifest, CLASSES[: LABELS[suite]], expected_images)
    return expectations.check(tables, expectations.load(SUITES / f"{suite}.yaml"))


def at(manifest: pd.DataFrame, member: str) -> int:
    return int(np.flatnonzero(manifest["member"].to_numpy() == member)[0])


def broken(manifest: pd.DataFrame, suite: str = "gtsrb") -> dict[str, tuple[str, ...]]:
    return {outcome.expectation.name: outcome.offenders for outcome in verdict(manifest, suite).broken}


@pytest.mark.parametrize(
    ("suite", "count"), [("gtsrb", 25), ("rendered", 25), ("cifar10", 18), ("asl", 16), ("folder", 14)]
)
def test_sound_manifest_breaks_nothing(suite: str, count: int) -> None:
    found = verdict(sound_manifest(suite), suite)
    assert [outcome.sentence() for outcome in found.outcomes if not outcome.success] == []
    assert len(found.outcomes) == count


@pytest.mark.parametrize("suite", LABELS)
def test_every_expectation_guards_something_of_its_own(suite: str) -> None:
    guards = [entry.guards for entry in expectations.load(SUITES / f"{suite}.yaml")]
    assert sorted(set(guards)) == sorted(guards)


def test_track_in_two_splits_is_broken_on_each_of_its_frames() -> None:
    manifest = sound_manifest()
    manifest.loc[at(manifest, "Train/3/00003_00000_00001.png"), "split"] = "val"
    offenders = broken(manifest)["group_is_in_one_split"]
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


def test_published_overlap_is_excepted_in_gtsrb_and_an_error_in_no_other_group() -> None:
    manifest = sound_manifest()
    train, test = at(manifest, "Train/14/00014_00023_00000.png"), at(manifest, "Test/00014.png")
    for column in ("bytes_sha256", "pixels_sha256"):
        manifest.loc[train, column] = manifest.loc[test, column]
    assert broken(manifest) == {}
    manifest.loc[manifest["group"] == "00014_00023", "group"] = "00014_00025"
    assert broken(manifest).keys() == {"no_file_in_a_later_split", "no_picture_in_a_later_split"}


@pytest.mark.parametrize(
    ("suite", "severity"),
    [("gtsrb", "error"), ("rendered", "error"), ("folder", "error"), ("cifar10", "warning"), ("asl", "warning")],
)
def test_test_image_in_train_stops_but_where_it_is_published_so(suite: str, severity: str) -> None:
    manifest = sound_manifest(suite)
    train, test = at(manifest, "Train/2/00002_00000_00000.png"), at(manifest, "Test/00002.png")
    for column in ("bytes_sha256", "pixels_sha256"):
        manifest.loc[train, column] = manifest.loc[test, column]
    found = [outcome for outcome in verdict(manifest, suite).outcomes if not outcome.success]
    assert {(outcome.expectation.name, outcome.expectation.severity) for outcome in found} == {
        ("no_file_in_a_later_split", severity),
        ("no_picture_in_a_later_split", severity),
    }
    assert found[1].offenders == (
        "archive.zip: member Train/2/00002_00000_00000.png: the same pixels as archive.zip Test/00002.png",
    )


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


def test_copy_within_a_track_is_a_warning() -> None:
    manifest = sound_manifest()
    first, second = at(manifest, "Train/3/00003_00000_00000.png"), at(manifest, "Train/3/00003_00000_00001.png")
    manifest.loc[second, "pixels_sha256"] = manifest.loc[first, "pixels_sha256"]
    found = verdict(manifest)
    assert found.broken == ()
    assert {outcome.expectation.name: outcome.offenders for outcome in found.warnings} == {
        "picture_stands_once": (
            "archive.zip: member Train/3/00003_00000_00001.png: "
            "the same pixels as archive.zip Train/3/00003_00000_00000.png",
        ),
    }


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize(
    ("lost", "told", "missing"),
    [(0, 1, "frame 0 of 00005_00000 is missing before it"), (2, 1, "frame {} of 00005_00000 is missing after it")],
)
def test_track_that_lacks_its_first_or_last_frame_is_broken_beside_it(
    lost: int, told: int, missing: str, step: int
) -> None:
    manifest = sound_manifest()
    manifest["frame"] *= step
    manifest = manifest.drop(at(manifest, f"Train/5/00005_00000_0000{lost}.png"))
    place = f"archive.zip: member Train/5/00005_00000_0000{told}.png: "
    assert broken(manifest) == {"track_has_no_gap": (place + missing.format(2 * step),)}


def test_gap_within_a_track_is_broken_on_the_frame_after_it_but_in_the_class_that_is_published_with_one() -> None:
    manifest = sound_manifest()
    for label in (5, 33):
        manifest = manifest.drop(at(manifest, f"Train/{label}/{label:05d}_00000_00001.png")).reset_index(drop=True)
    place = "archive.zip: member Train/5/00005_00000_00002.png: "
    assert broken(manifest) == {"track_has_no_gap": (place + "frame 1 of 00005_00000 is missing before it",)}


def test_frame_with_a_problem_of_its_own_is_no_gap() -> None:
    manifest = sound_manifest()
    manifest.loc[at(manifest, "Train/5/00005_00000_00001.png"), "problem"] = "zero bytes"
    assert broken(manifest).keys() == {"entry_is_sound"}


def test_tracks_of_differing_lengths_have_no_usual_end() -> None:
    manifest = sound_manifest()
    shorter = manifest["group"].str.endswith("_00000") & (manifest["label"] % 5 == 0) & (manifest["frame"] == 2)
    assert broken(manifest[~shorter].reset_index(drop=True)) == {}


def test_tracks_that_keep_every_third_frame_have_no_gap() -> None:
    manifest = sound_manifest()
    manifest["frame"] *= 3
    assert [outcome for outcome in verdict(manifest).outcomes if not outcome.success] == []


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
        ("orientation", 6, "picture_is_stored_upright", "has EXIF orientation 6, and is turned in decoding"),
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


def test_phase_1_is_refused_where_the_final_images_are_declared() -> None:
    """26,640 images in 888 tracks: the images of the competition's first phase, of the same name and layout."""
    counts = np.array(OFFICIAL) * 26_640 // 39_209
    counts[: 26_640 - counts.sum()] += 1
    labels = np.repeat(np.arange(43), counts)
    sound = sound_manifest()
    train = sound[sound["split"] == "train"].iloc[np.arange(26_640) % 43].assign(label=labels, frame=0)
    train["group"] = train["member"] = [f"Training/{row:05d}.ppm" for row in range(26_640)]
    train["brightness"] = usual_light("gtsrb", 26_640)
    train["bytes_sha256"] = train["pixels_sha256"] = train["member"]
    manifest = pd.concat([train, sound[sound["split"] == "test"]], ignore_index=True).astype({"label": "Int16"})
    assert verdict(manifest, expected_images=26_640).broken == ()
    (refused,) = verdict(manifest, expected_images=39_209).broken
    assert refused.sentence() == (
        "There are as many training images as `expected_images` declares: archive.zip: member Training/26639.ppm: "
        "is the last of 26,640 training images where 39,209 are declared (expected_images)"
    )


def test_reference_of_gtsrb_is_the_published_39209_images() -> None:
    suite = {entry.name: entry for entry in expectations.load(SUITES / "gtsrb.yaml")}
    reference = suite["class_has_its_share"].reference
    assert reference is not None
    assert reference["counts"] == OFFICIAL
    assert (len(OFFICIAL), sum(OFFICIAL), min(OFFICIAL), max(OFFICIAL)) == (43, 39_209, 210, 2250)


@pytest.mark.parametrize(
    ("suite", "found"),
    [
        ("gtsrb", "206 sound images in train, 0.34 times its share"),
        ("rendered", "1 sound images in train, 0.34 times its share"),
        ("cifar10", "40 sound images in train, 0.36 times its share"),
        ("asl", "40 sound images in train, 0.34 times its share"),
    ],
)
def test_class_that_lost_two_thirds_of_its_images_is_broken(suite: str, found: str) -> None:
    assert outliers(suite) == ()
    assert outliers(suite, 5) == (f"class 5 (class 5): {found}",)


def outliers(suite: str, label: int | None = None) -> tuple[str, ...]:
    """What breaks `class_has_its_share` where `label` keeps every third of its images."""
    entry = next(entry for entry in expectations.load(SUITES / f"{suite}.yaml") if entry.name == "class_has_its_share")
    counts = np.array(OFFICIAL) // 3 if suite == "gtsrb" else np.full(LABELS[suite], 3 if suite == "rendered" else 120)
    if label is not None:
        counts[label] //= 3
    classes = pd.DataFrame({"label": range(len(counts)), "class_name": CLASSES[: len(counts)], "train_images": counts})
    (outcome,) = expectations.check({"classes": classes}, (entry,)).outcomes
    return outcome.offenders


def test_few_images_say_nothing_of_a_share() -> None:
    classes = pd.DataFrame({"train_images": [1, 9, 50]})
    assert manifest_tables.with_share(classes, "train_images", "equal", 19)["share"].tolist() == [1, 1, 2.5]


@pytest.mark.parametrize(
    ("suite", "found"),
    [
        (
            "gtsrb",
            "luma averages 23 where 81 is usual, of 0 to 255 (the histograms diverge by 1.18, and 0.3 is allowed)",
        ),
        (
            "rendered",
            "luma averages 25 where 93 is usual, of 0 to 255 (the histograms diverge by 1.94, and 0.5 is allowed)",
        ),
        (
            "cifar10",
            "luma averages 34 where 123 is usual, of 0 to 255 (the histograms diverge by 4.45, and 0.3 is allowed)",
        ),
        (
            "asl",
            "luma averages 40 where 134 is usual, of 0 to 255 (the histograms diverge by 6.33, and 0.5 is allowed)",
        ),
    ],
)
def test_training_images_at_a_quarter_of_their_light_are_broken(suite: str, found: str) -> None:
    manifest = sound_manifest(suite)
    assert broken(manifest, suite) == {}
    manifest.loc[manifest["split"] == "train", "brightness"] /= 4
    assert broken(manifest, suite) == {"training_images_have_the_usual_light": (found,)}


def test_light_of_no_image_at_all_is_left_to_other_expectations() -> None:
    manifest = sound_manifest().assign(problem="zero bytes", brightness=np.nan)
    assert "training_images_have_the_usual_light" not in broken(manifest)
    assert "entry_is_sound" in broken(manifest)


@pytest.mark.parametrize("suite", ["gtsrb", "rendered", "cifar10", "asl"])
def test_picture_that_is_not_stored_as_rgb_is_a_warning_that_says_so(suite: str) -> None:
    manifest = sound_manifest(suite)
    for row, mode in enumerate(("CMYK", "I;16", "RGBA", "L", "P")):
        manifest.loc[row, "mode"] = mode
    found = verdict(manifest, suite)
    assert found.broken == ()
    assert found.warnings[0].expectation.name == "picture_is_stored_as_rgb"
    assert [offender.partition(".png: ")[2] for offender in found.warnings[0].offenders] == [
        f"is stored as {mode} and converted to RGB" for mode in ("CMYK", "I;16", "RGBA", "L", "P")
    ]


def test_camera_that_turns_its_pictures_is_a_warning_for_a_folder() -> None:
    manifest = sound_manifest("folder")
    manifest.loc[0, "orientation"] = 8
    found = verdict(manifest, "folder")
    assert found.broken == ()
    assert [outcome.expectation.name for outcome in found.warnings] == ["picture_is_stored_upright"]


def test_class_without_a_test_image_is_broken_only_where_there_is_a_test() -> None:
    manifest = sound_manifest("folder")
    without = manifest.drop(at(manifest, "Test/00001.png")).reset_index(drop=True)
    assert broken(without, "folder") == {"class_has_test_images": ("class 1 (class 1): no sound image in test",)}
    assert broken(manifest[manifest["split"] == "train"].reset_index(drop=True), "folder") == {}


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
        ("expectation: [{name: a}]", "not a suite of expectations (unknown keys: expectation; known are exceptions,"),
        ("include: other.yaml\n1: a\nb: c", "not a suite of expectations (unknown keys: 1, b; known are"),
        ("{}", "not a suite of expectations (it has no expectation)"),
        ("expectations: []", "not a suite of expectations (it has no expectation)"),
        ("include: suite.yaml", "suite.yaml: not a suite of expectations (it includes itself)"),
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


def test_suites_that_include_each_other_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("include: b.yaml")
    (tmp_path / "b.yaml").write_text("include: a.yaml")
    with pytest.raises(WaymarkError) as refused:
        expectations.load(tmp_path / "a.yaml")
    assert str(refused.value) == f"{tmp_path / 'a.yaml'}: not a suite of expectations (it includes itself)"


def entry(name: str = "odd", **changes: Any) -> dict[str, Any]:
    """An expectation of the classes that is sound but for `changes`."""
    sound = {"severity": "error", "table": "classes", "type": "ExpectColumnValuesToBeBetween", "offender": "o"}
    return {"name": name, "guards": "g", "arguments": {"column": "share", "min_value": 1}} | sound | changes


def test_second_reference_is_refused(tmp_path: Path) -> None:
    """Both would be the column share, and the later one would judge both."""
    reference = {"column": "train_images", "counts": "equal", "slack": 0}
    suite = {"expectations": [entry("first", reference=reference), entry("second", reference=reference)]}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    with pytest.raises(WaymarkError) as refused:
        expectations.load(tmp_path / "suite.yaml")
    assert str(refused.value) == (
        f"{tmp_path / 'suite.yaml'}: not a suite of expectations"
        " (first, second have a reference, but the table has one column share: keep one)"
    )


CLASS_FACTS = "class_name, label, share, train_images"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"offender": "{shre} of it"}, CLASS_FACTS),
        ({"offender": "{share:d}"}, CLASS_FACTS),
        ({"offender": "{share!r}"}, CLASS_FACTS),
        ({"offender": "{{share}}"}, CLASS_FACTS),
        ({"offender": "{} of it"}, CLASS_FACTS),
        ({"offender": "{share"}, CLASS_FACTS),
        ({"offender": "{label}", "table": "images"}, "archive, member, row, share"),
        (
            {"offender": "{label}", "type": "ExpectColumnKLDivergenceToBeLessThan"},
            "expected_mean, observed_mean, observed_value, threshold",
        ),
        (
            {"offender": "{share}", "arguments": {"column_A": "train_images", "column_B": "test_images"}},
            "class_name, label, test_images, train_images",
        ),
        ({"offender": "{c}", "arguments": {"column_list": ["a", "b"]}}, "a, b, class_name, label, train_images"),
    ],
)
def test_offender_that_could_not_be_told_is_refused_before_there_is_one(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump({"expectations": [entry(**changes)]}))
    with pytest.raises(WaymarkError) as refused:
        expectations.load(tmp_path / "suite.yaml")
    assert str(refused.value) == (
        f"{tmp_path / 'suite.yaml'}: not a suite of expectations"
        f" (the offender of odd may tell {told}, not {changes['offender']})"
    )


@pytest.mark.parametrize(
    ("kind", "arguments", "offender", "told"),
    [
        ("ExpectColumnValuesToBeBetween", {"column": "height", "max_value": 9}, "{height}", "30"),
        (
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": "roi_x1", "column_B": "roi_x2"},
            "{roi_x1} {roi_x2}",
            "5 24",
        ),
        ("ExpectCompoundColumnsToBeUnique", {"column_list": ["mode", "width"]}, "{mode} {width}", "RGB 30"),
    ],
)
def test_offender_tells_the_values_of_every_column_that_was_checked(
    kind: str, arguments: dict[str, object], offender: str, told: str
) -> None:
    odd = entry(table="images", type=kind, arguments=arguments, offender=offender)
    checked = expectations.check({"images": sound_manifest()}, (expectations.Expectation(**odd),))
    assert checked.broken[0].offenders[0].endswith(f".png: {told}")
