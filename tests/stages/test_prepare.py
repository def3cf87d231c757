"""What `prepare` makes of a manifest and its archive."""

import hashlib
import io
import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from waymark import contract, params, paths
from waymark.datasets import manifest, near_duplicates
from waymark.errors import WaymarkError
from waymark.params import Params
from waymark.stages import prepare

ROOT = Path(__file__).resolve().parents[2]
SIZE = 16
TRACKS, FRAMES, TESTS = 6, 3, 4


def picture(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 24), (value, 100, 200)).save(file, "PNG")
    return file.getvalue()


def row(split: str, label: int, group: str, frame: int, member: str) -> dict[str, object]:
    box: dict[str, object] = {"roi_x1": 2, "roi_y1": 2, "roi_x2": 17, "roi_y2": 17} if split == "train" else {}
    place = {"archive": "archive.zip", "member": member, "row": "", "class_name": "", "problem": ""}
    return place | box | {"split": split, "label": label, "group": group, "frame": frame}


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two classes of six tracks with three frames each and four test images without a box; each a grey of its own."""
    monkeypatch.chdir(tmp_path)
    rows = [
        row("train", label, f"{label}/{track}", frame, f"{label}_{track}_{frame}.png")
        for label in (0, 1)
        for track in range(TRACKS)
        for frame in range(FRAMES)
    ] + [row("test", number % 2, f"test/{number}", 0, f"test_{number}.png") for number in range(TESTS)]
    paths.raw("gtsrb").mkdir(parents=True)
    with ZipFile(paths.raw("gtsrb") / "archive.zip", "w") as archive:
        for value, entry in enumerate(rows):
            archive.writestr(str(entry["member"]), picture(value))
    listed = pd.DataFrame(rows, columns=manifest.SCHEMA.names)
    listed = listed.assign(part="", perceptual_hash="0" * 16, thumbnail=bytes(3 * manifest.THUMBNAIL**2))
    manifest.write(listed, paths.MANIFEST)
    near_duplicates.find(listed).to_parquet(paths.NEAR_DUPLICATES)
    changed = {"dataset": "gtsrb", "image_size": SIZE, "val_fraction": 0.34}
    return params.load(ROOT / paths.PARAMS).model_copy(update=changed)


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths.PREPARED.iterdir()}


def test_each_image_lies_at_its_row_in_one_array_a_split(collected: Params) -> None:
    prepare.run(collected)
    value = {member: index for index, member in enumerate(pd.read_parquet(paths.MANIFEST)["member"])}
    seen = 0
    for split in ("train", "val", "test"):
        images, rows = np.load(paths.images(split)), pd.read_parquet(paths.rows(split))
        assert images.shape == (len(rows), SIZE, SIZE, 3)
        assert images.dtype == np.uint8
        assert images[:, 0, 0, 0].tolist() == [value[member] for member in rows["member"]]
        assert set(np.unique(images[..., 1:])) == {100, 200}
        seen += len(rows)
    assert seen == len(value)


def test_track_lies_in_one_split_and_val_takes_its_share_of_each_class(collected: Params) -> None:
    prepare.run(collected)
    train, val = (pd.read_parquet(paths.rows(split)) for split in ("train", "val"))
    assert not set(train["group"]) & set(val["group"])
    assert val.groupby("label")["group"].nunique().to_dict() == {0: 2, 1: 2}
    assert len(val) == 2 * 2 * FRAMES


def test_split_is_a_file_whose_hash_the_contract_and_the_report_name(collected: Params) -> None:
    prepare.run(collected)
    listed = pd.read_csv(paths.SPLIT, keep_default_na=False)
    assert listed.columns.tolist() == ["archive", "member", "label", "group", "split", "reason"]
    assert listed["split"].value_counts().to_dict() == {"train": 24, "val": 12, "test": TESTS}
    for split in ("train", "val", "test"):
        of_split = listed[listed["split"] == split]["member"]
        assert of_split.tolist() == pd.read_parquet(paths.rows(split))["member"].tolist()
    sha256 = hashlib.sha256(paths.SPLIT.read_bytes()).hexdigest()
    assert contract.read(paths.PREPARED_CONTRACT).split_sha256 == sha256
    report = json.loads(paths.SPLIT_REPORT.read_text())
    assert report["split_sha256"] == sha256
    assert report["split"] == "grouped"
    assert report["grouped"]["images"] == {"train": 24, "val": 12, "test": TESTS, "left_out": 0}


def test_near_duplicate_of_a_test_image_is_left_out_with_its_track_and_a_random_split_lets_it_cross(
    collected: Params,
) -> None:
    pairs = pd.DataFrame({"first": [4], "second": [36], "distance": [0], "correlation": [1.0]})
    pairs.to_parquet(paths.NEAR_DUPLICATES)
    prepare.run(collected)
    listed = pd.read_csv(paths.SPLIT, keep_default_na=False)
    assert listed[listed["split"] == "left_out"].index.tolist() == [3, 4, 5]
    report = json.loads(paths.SPLIT_REPORT.read_text())
    assert report["grouped"]["near_duplicates_across_splits"] == 0
    assert report["random"]["near_duplicates_across_splits"] == 1
    prepare.run(collected.model_copy(update={"split": "random"}))
    assert (pd.read_csv(paths.SPLIT)["split"] == "left_out").sum() == 0


def test_contract_states_the_training_images_mean_and_spread(collected: Params) -> None:
    prepare.run(collected)
    prepared = contract.read(paths.PREPARED_CONTRACT)
    train = np.load(paths.images("train")).reshape(-1, 3).astype(np.float64)
    assert prepared.mean == pytest.approx(train.mean(axis=0) / 255, abs=1e-6)
    assert prepared.std[0] == pytest.approx(train[:, 0].std() / 255, abs=1e-6)
    assert prepared.std[1:] == (0.003922, 0.003922)  # one grey level where a channel is flat, never zero
    assert (prepared.dataset, prepared.image_size, len(prepared.class_names)) == ("gtsrb", SIZE, 43)


def tiles() -> list[np.ndarray]:
    """The picture of each class, in the order of labels."""
    with Image.open(paths.CLASS_PICTURES) as sheet:
        assert (sheet.format, sheet.mode, sheet.size) == ("PNG", "RGB", (96, 96 * 43))
        return np.split(np.asarray(sheet), 43)


def colours(tile: np.ndarray) -> set[tuple[int, ...]]:
    return set(map(tuple, tile.reshape(-1, 3).tolist()))


def members_of(split: str, label: int) -> list[int]:
    """The rows of the manifest, each of which has its number as its red."""
    listed = pd.read_csv(paths.SPLIT)
    return listed.index[(listed["split"] == split) & (listed["label"] == label)].tolist()


def test_class_picture_is_of_equals_the_one_with_the_largest_box_and_then_the_first(collected: Params) -> None:
    prepare.run(collected)
    before, (first, *_), (_, second, third, *_) = tiles(), members_of("train", 0), members_of("train", 1)
    assert colours(before[0]) == {(first, 100, 200)}
    assert colours(before[1]) == {(members_of("train", 1)[0], 100, 200)}
    assert colours(np.stack(before[2:])) == {(128, 128, 128)}  # without a training image

    listed = pd.read_parquet(paths.MANIFEST)
    listed.loc[[second, third], "roi_x2"] = 18
    listed.loc[members_of("val", 1) + members_of("test", 1), ["roi_x1", "roi_y1", "roi_x2", "roi_y2"]] = [0, 0, 19, 23]
    manifest.write(listed, paths.MANIFEST)
    prepare.run(collected)
    after = tiles()
    assert colours(after[1]) == {(second, 100, 200)}
    assert (after[0] == before[0]).all()


def test_class_picture_is_the_one_with_the_most_contrast_among_the_larger(collected: Params) -> None:
    prepare.run(collected)
    listed = pd.read_parquet(paths.MANIFEST)
    _, second, third, *_ = members_of("train", 1)
    for row, contrast, side in ((second, 200, 4), (third, 100, 14)):  # from column 2 on; the others' boxes have 16
        listed.at[row, "thumbnail"] = bytes([0, 0, 0, contrast, contrast, contrast] * 72)
        listed.at[row, "roi_x2"] = 2 + side
    manifest.write(listed, paths.MANIFEST)
    prepare.run(collected)
    assert colours(tiles()[1]) == {(third, 100, 200)}


def test_class_picture_of_images_without_boxes_is_the_largest_of_them(collected: Params) -> None:
    prepare.run(collected)
    listed = pd.read_parquet(paths.MANIFEST)
    listed[["roi_x1", "roi_y1", "roi_x2", "roi_y2"]] = pd.NA
    listed["width"], listed["height"] = 20, 24
    larger = members_of("train", 0)[3]
    listed.loc[larger, "height"] = 25
    manifest.write(listed, paths.MANIFEST)
    prepare.run(collected)
    assert colours(tiles()[0]) == {(larger, 100, 200)}


def test_class_picture_is_cut_as_the_contract_says_but_larger_and_in_colour(collected: Params) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    with ZipFile(paths.raw("gtsrb") / "archive.zip") as archive:
        names = archive.namelist()
    with ZipFile(paths.raw("gtsrb") / "archive.zip", "w") as archive:
        for name in names:
            archive.writestr(name, file.getvalue())
    prepare.run(collected.model_copy(update={"colour": "grey", "equalise": "clahe", "crop_margin": 0.05}))
    # The box's 16 columns and rows from 2 on, and a twentieth of them on each side.
    box = (1.2, 1.2, 18.8, 18.8)
    expected = Image.fromarray(noise).resize((96, 96), Image.Resampling.BILINEAR, box=box)
    assert (tiles()[1] == np.asarray(expected)).all()


def test_two_runs_write_the_same_bytes_and_another_seed_another_split(collected: Params) -> None:
    prepare.run(collected)
    first = contents()
    prepare.run(collected)
    assert contents() == first
    prepare.run(collected.model_copy(update={"seed": 1}))
    assert contents()["val.parquet"] != first["val.parquet"]
    assert contents()["test.npy"] == first["test.npy"]


def test_arrays_are_what_numpy_itself_would_write(collected: Params, tmp_path: Path) -> None:
    prepare.run(collected)
    np.save(tmp_path / "again.npy", np.load(paths.images("train")))
    assert (tmp_path / "again.npy").read_bytes() == paths.images("train").read_bytes()


def test_image_that_no_longer_decodes_is_named_and_the_old_arrays_stay(collected: Params) -> None:
    prepare.run(collected)
    before = contents()
    with ZipFile(paths.raw("gtsrb") / "archive.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["test_3.png"] = b"no image"
    with ZipFile(paths.raw("gtsrb") / "archive.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    said = r"archive\.zip: member test_3\.png: not an image of a known format \(PNG, .*\); run"
    with pytest.raises(WaymarkError, match=said):
        prepare.run(collected)
    assert contents() == before
