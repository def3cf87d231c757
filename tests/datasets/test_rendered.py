import csv
import hashlib
import io
from itertools import pairwise
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from PIL import Image

from waymark.datasets import rendered
from waymark.datasets.drawing.camera import pyramid, track
from waymark.datasets.drawing.catalogue import template
from waymark.datasets.drawing.chance import Chance
from waymark.datasets.registry import RENDERED
from waymark.datasets.rendered import TEST_ARCHIVE, TEST_LABELS_ARCHIVE, TRAINING_ARCHIVE, render
from waymark.datasets.traffic_sign_names import CLASS_NAMES
from waymark.errors import WaymarkError

ARCHIVES = (TRAINING_ARCHIVE, TEST_ARCHIVE, TEST_LABELS_ARCHIVE)
PINNED = {
    "GTSRB_Final_Test_GT.zip": "04d4bdb49ff25ebaa39b65fe46cf8ba901a9d3bc34a2ef1c342fad9546d3b49d",
    "GTSRB_Final_Test_Images.zip": "938a8228cf16a2a5292343c400093cd5a1149ee41c3ab6afccfa9bf286577226",
    "GTSRB_Final_Training_Images.zip": "4305fec1a1e248c38cfaff5068ed4cb162c4e04958486a5601c9216a28a4062d",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    render(folder, tracks=2, frames=2, seed=0, workers=1)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def rows(folder: Path, archive: str, member: str) -> list[dict[str, str]]:
    with ZipFile(folder / archive) as opened:
        return list(csv.DictReader(io.StringIO(opened.read(member).decode("ascii"), newline=""), delimiter=";"))


def test_bytes_are_the_same_on_every_machine(folder: Path) -> None:
    assert hashes(folder) == PINNED


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_workers(folder: Path, tmp_path: Path) -> None:
    render(tmp_path, tracks=2, frames=2, seed=0, workers=2)
    assert hashes(tmp_path) == hashes(folder)


def test_another_seed_draws_other_pictures() -> None:
    levels = pyramid(template(14))
    one, same, other = (track(Chance(seed), levels, 1)[0].image for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_reader_of_gtsrb_finds_every_image_and_no_problem(folder: Path) -> None:
    records = list(RENDERED.index(folder))
    assert [record.problem for record in records if record.problem] == []
    count = {split: sum(record.split == split for record in records) for split in ("train", "test")}
    assert count == {"train": 43 * 2 * 2, "test": 43 * 1 * 2}
    for split in ("train", "test"):
        assert {record.label for record in records if record.split == split} == set(range(43))
    assert len({record.group for record in records if record.split == "train"}) == 43 * 2
    assert RENDERED.class_names(folder) == CLASS_NAMES


def test_images_are_as_large_as_their_rows_say_with_a_border_around_the_sign(folder: Path) -> None:
    with RENDERED.open(folder) as read:
        for record in list(RENDERED.index(folder))[::17]:
            content = read(record.archive, record.member)
            assert content.startswith(b"P6\n")
            with Image.open(io.BytesIO(content)) as image:
                assert image.size == record.declared_size
            assert record.declared_size
            assert record.roi
            (width, height), (x1, y1, x2, y2) = record.declared_size, record.roi
            assert (width - 1 - x2, height - 1 - y2) == (x1, y1)
            assert x1 == max(5, (x2 + 1 - x1 + 5) // 10)


def test_members_and_lists_are_named_as_the_organisers_name_them(folder: Path) -> None:
    with ZipFile(folder / TRAINING_ARCHIVE) as archive:
        names = archive.namelist()
    assert names[1:3] == [f"GTSRB/Final_Training/Images/00000/00000_0000{frame}.ppm" for frame in (0, 1)]
    assert "GTSRB/Final_Training/Images/00042/GT-00042.csv" in names
    labelled = rows(folder, TEST_LABELS_ARCHIVE, "GT-final_test.csv")
    unlabelled = rows(folder, TEST_ARCHIVE, "GTSRB/Final_Test/Images/GT-final_test.test.csv")
    assert list(labelled[0]) == ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"]
    assert [{key: row[key] for key in row if key != "ClassId"} for row in labelled] == unlabelled


def test_test_images_stand_in_random_order(folder: Path) -> None:
    labels = [int(row["ClassId"]) for row in rows(folder, TEST_LABELS_ARCHIVE, "GT-final_test.csv")]
    assert sorted(labels) == [label for label in range(43) for _ in range(2)]
    assert sum(a == b for a, b in pairwise(labels)) < 10


def test_zip_members_tell_nothing_of_the_clock_or_the_system(folder: Path) -> None:
    for name in ARCHIVES:
        with ZipFile(folder / name) as archive:
            facts = {(m.date_time, m.create_system, m.external_attr, m.compress_type) for m in archive.infolist()}
        assert facts == {((1980, 1, 1, 0, 0, 0), 3, 0o100644 << 16, ZIP_STORED)}


def test_frames_of_a_track_grow_and_keep_their_scene() -> None:
    frames = track(Chance(0), pyramid(template(1)), 10)
    sides = [max(frame.image.shape) for frame in frames]
    assert sides == sorted(sides)
    assert sides[0] <= 32
    assert sides[-1] >= 50
    corners = np.array([frame.image[-3:, :3].mean(axis=(0, 1)) for frame in frames])
    assert np.abs(np.diff(corners, axis=0)).max() < 60


def test_box_is_where_the_sign_is() -> None:
    magenta = np.full((256, 256, 4), (255, 0, 255, 255), np.uint8)  # a colour that no background has
    for frame in track(Chance(0), pyramid(magenta), 6):
        red, green, blue = (frame.image[..., channel].astype(int) for channel in range(3))
        strength = np.minimum(red, blue) - green
        rows, columns = np.nonzero(strength > strength.max() / 2)
        found = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
        assert np.abs(found - frame.roi).max() <= 3


def test_nothing_half_written_is_left_when_drawing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_at_the_third(label: int, **_: int) -> tuple[list[object], list[object]]:
        if label == 2:
            raise OSError(28, "No space left on device")
        return [], []

    monkeypatch.setattr(rendered, "_draw_class", fails_at_the_third)
    with pytest.raises(WaymarkError, match=r"No space left on device\); make room"):
        render(tmp_path, tracks=4, frames=2, seed=0, workers=1)
    assert list(tmp_path.iterdir()) == []
