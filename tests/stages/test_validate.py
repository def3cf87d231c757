"""Each fault that is planted into a small archive in Kaggle's layout stops `validate` with a sentence that names it."""

import html
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import ExifTags, Image

from waymark import params, paths
from waymark.datasets import manifest
from waymark.datasets.traffic_sign_names import CLASS_NAMES
from waymark.errors import WaymarkError
from waymark.params import Params
from waymark.stages import validate

REPOSITORY = Path(__file__).parents[2]
HEADER = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path"
FIRST = "Train/14/00014_00000_00000.png"
ROW = re.compile(r"24,24,2,2,21,21,14,Train/14/00014_00000_00000\.png")
Members = dict[str, bytes]


def picture(number: int, size: tuple[int, int] = (24, 24)) -> bytes:
    """Noise, some of it dark and some of it bright: as GTSRB's own pictures are."""
    generator = np.random.default_rng(number)
    level = max(generator.beta(1.5, 3.25), 0.05)
    noise = generator.uniform(-1, 1, (size[1], size[0], 3)) * min(level, 1 - level)
    return encoded(Image.fromarray(((level + noise) * 255).astype(np.uint8)))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def sound_members() -> Members:
    """43 classes with two tracks of two frames and a test image each."""
    members: Members = {}
    train, test = [HEADER], [HEADER]
    for label in range(43):
        for track, frame in ((0, 0), (0, 1), (1, 0), (1, 1)):
            path = f"Train/{label}/{label:05d}_{track:05d}_{frame:05d}.png"
            members[path] = picture(len(members))
            train.append(f"24,24,2,2,21,21,{label},{path}")
        members[f"Test/{label:05d}.png"] = picture(len(members))
        test.append(f"24,24,2,2,21,21,{label},Test/{label:05d}.png")
    return members | {"Train.csv": "\n".join(train).encode(), "Test.csv": "\n".join(test).encode()}


def edited(members: Members, file: str, old: str | re.Pattern[str], new: str) -> None:
    text = re.sub(old, new, members[file].decode(), count=1)
    assert text.encode() != members[file]
    members[file] = text.encode()


def labelled(label: str) -> Callable[[Members], None]:
    return lambda members: edited(members, "Train.csv", ROW, f"24,24,2,2,21,21,{label},{FIRST}")


def replaced(data: bytes, size: str = "24,24") -> Callable[[Members], None]:
    def plant(members: Members) -> None:
        members[FIRST] = data
        edited(members, "Train.csv", ROW, f"{size},0,0,{int(size.split(',')[0]) - 1},0,14,{FIRST}")

    return plant


def in_mode(mode: str) -> Callable[[Members], None]:
    """The same picture, its samples stored otherwise."""

    def plant(members: Members) -> None:
        picture = Image.open(io.BytesIO(members[FIRST]))
        if mode == "I;16":
            members[FIRST] = encoded(Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257))
        else:
            members[FIRST] = encoded(picture.convert(mode), "TIFF" if mode == "CMYK" else "PNG")

    return plant


def turned(members: Members) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    Image.open(io.BytesIO(members[FIRST])).save(file, "JPEG", exif=exif)
    members[FIRST] = file.getvalue()


def track_with_a_gap(members: Members) -> None:
    """Its third frame of four, image and row."""
    for frame in (2, 3):
        path = f"Train/14/00014_00000_{frame:05d}.png"
        members[path] = picture(1000 + frame)
        members["Train.csv"] += f"\n24,24,2,2,21,21,14,{path}".encode()
    del members["Train/14/00014_00000_00002.png"]
    edited(members, "Train.csv", r"\n24,24,2,2,21,21,14,Train/14/00014_00000_00002\.png", "")


def class_in_excess(members: Members) -> None:
    """Fifty tracks more of class 0."""
    for track in range(10, 60):
        for frame in (0, 1):
            path = f"Train/0/00000_{track:05d}_{frame:05d}.png"
            members[path] = picture(10_000 + 2 * track + frame)
            members["Train.csv"] += f"\n24,24,2,2,21,21,0,{path}".encode()


def darkened(members: Members) -> None:
    for member in [member for member in members if member.endswith(".png")]:
        members[member] = encoded(Image.open(io.BytesIO(members[member])).point(lambda sample: sample // 4))


def truncated(members: Members) -> None:
    members[FIRST] = members[FIRST][:600]


def empty(members: Members) -> None:
    members[FIRST] = b""


def place_test_file_in_train(members: Members) -> None:
    members[FIRST] = members["Test/00014.png"]


def place_test_picture_in_train(members: Members) -> None:
    members[FIRST] = encoded(Image.open(io.BytesIO(members["Test/00014.png"])), "PPM")


def class_without_image(members: Members) -> None:
    members["Train.csv"] = b"\n".join(row for row in members["Train.csv"].split(b"\n") if b"Train/7/" not in row)
    for member in [member for member in members if member.startswith("Train/7/")]:
        del members[member]


def row_without_image(members: Members) -> None:
    del members[FIRST]


def image_without_row(members: Members) -> None:
    edited(members, "Train.csv", ROW.pattern + "\n", "")


def path_that_leads_out(members: Members) -> None:
    edited(members, "Train.csv", ROW, "24,24,2,2,21,21,14,../../etc/passwd")


def absolute_path(members: Members) -> None:
    edited(members, "Train.csv", ROW, "24,24,2,2,21,21,14,/etc/passwd")


def member_that_leads_out(members: Members) -> None:
    members["../Train/14/evil.png"] = picture(1)


def picture_under_two_labels(members: Members) -> None:
    members[FIRST] = members["Train/15/00015_00000_00000.png"]


IN_ROW = f"archive.zip: member {FIRST} (Train.csv line 58): "


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        pytest.param(truncated, IN_ROW + "does not decode (image file is truncated", id="D1"),
        pytest.param(empty, IN_ROW + "zero bytes", id="D2"),
        pytest.param(replaced(picture(9, (1, 1)), "1,1"), IN_ROW + "is 1 px wide", id="D5"),
        pytest.param(replaced(picture(9, (4097, 8)), "4097,8"), IN_ROW + "is 4097 px wide", id="D6"),
        pytest.param(picture_under_two_labels, "archive.zip Train/15/00015_00000_00000.png with label 15", id="D8"),
        pytest.param(place_test_file_in_train, IN_ROW + "the same bytes as archive.zip Test/00014", id="D10-bytes"),
        pytest.param(
            place_test_picture_in_train, IN_ROW + "the same pixels as archive.zip Test/00014", id="D10-pixels"
        ),
        pytest.param(labelled("43"), IN_ROW + "label 43 is not one of 0 to 42", id="D11-43"),
        pytest.param(labelled("-1"), IN_ROW + "label -1 is not one of 0 to 42", id="D11-minus-1"),
        pytest.param(labelled("x"), IN_ROW + "ClassId is 'x'; expected a whole number", id="D11-x"),
        pytest.param(labelled(""), IN_ROW + "ClassId is ''; expected a whole number", id="D11-empty"),
        pytest.param(labelled("99999"), IN_ROW + "ClassId is '99999'; expected a whole number", id="D11-16-bit"),
        pytest.param(labelled("15"), IN_ROW + "ClassId is 15 but the image lies in the folder", id="folder"),
        pytest.param(class_without_image, "class 7 (Speed limit (100km/h)): no sound image in train", id="D12"),
        pytest.param(
            class_in_excess,
            "No class has far more or fewer of the training images than among the published 39,209: "
            "class 0 (Speed limit (20km/h)): 104 sound images in train, 71.39 times its share",
            id="D13",
        ),
        pytest.param(
            track_with_a_gap,
            "archive.zip: member Train/14/00014_00000_00003.png (Train.csv line 174): "
            "frame 2 of 00014_00000 is missing before it",
            id="D15",
        ),
        pytest.param(row_without_image, IN_ROW + "the row's image is not in archive.zip", id="D16-row"),
        pytest.param(image_without_row, f"archive.zip: member {FIRST}: no row names this image", id="D16-image"),
        pytest.param(
            path_that_leads_out,
            "member ../../etc/passwd (Train.csv line 58): the path leads out of the archive",
            id="D17-csv",
        ),
        pytest.param(absolute_path, "member /etc/passwd (Train.csv line 58): the path is absolute", id="D17-absolute"),
        pytest.param(member_that_leads_out, "archive.zip: member ../Train/14/evil.png: leads out", id="D17-member"),
        pytest.param(
            darkened,
            "The training images are as bright and as dark as the data set's own: luma averages 20 where 81 is usual, "
            "of 0 to 255 (the histograms diverge by 1.38, and 0.3 is allowed)",
            id="D19",
        ),
        pytest.param(replaced(encoded(Image.new("RGB", (24, 24)))), IN_ROW + "shows nothing", id="D20"),
        pytest.param(turned, IN_ROW + "has EXIF orientation 6, and is turned in decoding", id="D23"),
    ],
)
def test_planted_fault_stops_the_stage_with_its_place_and_reason(
    plant: Callable[[Members], None], sentence: str, workplace: Params
) -> None:
    members = sound_members()
    plant(members)
    write_archive(members)
    with pytest.raises(WaymarkError) as stopped:
        validate.run(workplace)
    assert sentence in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_sound_archive_passes_and_is_counted(workplace: Params) -> None:
    write_archive(sound_members())
    validate.run(workplace)
    report = json.loads(paths.VALIDATION.read_text())
    assert report["success"]
    assert report["splits"] == {
        "test": {"images": 43, "classes": 43, "groups": 43},
        "train": {"images": 172, "classes": 43, "groups": 86},
    }
    assert {entry["unexpected"] for entry in report["expectations"].values()} == {0}
    assert len(manifest.read(paths.MANIFEST)) == 215
    page = paths.DATA_PAGE.read_text()
    assert [name for name in CLASS_NAMES if html.escape(name) not in page] == []


def test_two_runs_write_the_same_bytes(workplace: Params) -> None:
    write_archive(sound_members())
    outputs = (paths.MANIFEST, paths.VALIDATION, paths.DATA_DOCS / "index.html", paths.DATA_PAGE, paths.NEAR_DUPLICATES)
    validate.run(workplace)
    first = [path.read_bytes() for path in outputs]
    validate.run(workplace)
    assert [path.read_bytes() for path in outputs] == first


def test_archive_of_other_images_than_declared_stops_the_stage(workplace: Params) -> None:
    """D22: the sentence names both numbers."""
    write_archive(sound_members())
    declared = workplace.model_copy(update={"expected_images": 39_209})
    with pytest.raises(WaymarkError) as stopped:
        validate.run(declared)
    assert (
        "archive.zip: member Train/42/00042_00001_00001.png (Train.csv line 173): is the last of 172 training "
        in str(stopped.value)
    )
    assert "images where 39,209 are declared (expected_images)" in str(stopped.value)
    validate.run(workplace.model_copy(update={"expected_images": 172}))


def same_image_twice(members: Members) -> None:
    members[FIRST] = members["Train/14/00014_00000_00001.png"]


@pytest.mark.parametrize(
    ("plant", "name", "reason"),
    [
        pytest.param(
            same_image_twice,
            "picture_stands_once",
            "archive.zip: member Train/14/00014_00000_00001.png (Train.csv line 59): "
            f"the same pixels as archive.zip {FIRST}",
            id="D7",
        ),
        *(
            pytest.param(
                in_mode(mode), "picture_is_stored_as_rgb", IN_ROW + f"is stored as {mode} and converted to RGB", id=name
            )
            for name, mode in {
                "D4-CMYK": "CMYK",
                "D4-16-bit": "I;16",
                "D4-alpha": "RGBA",
                "D4-one-channel": "L",
            }.items()
        ),
    ],
)
def test_doubtful_picture_is_a_warning_that_does_not_stop(
    plant: Callable[[Members], None],
    name: str,
    reason: str,
    workplace: Params,
    caplog: pytest.LogCaptureFixture,
) -> None:
    members = sound_members()
    plant(members)
    write_archive(members)
    validate.run(workplace)
    report = json.loads(paths.VALIDATION.read_text())
    assert report["success"]
    assert report["expectations"][name] == {"success": False, "severity": "warning", "unexpected": 1}
    assert [record.getMessage().endswith(reason) for record in caplog.records if record.levelname == "WARNING"] == [
        True
    ]


def test_failure_names_five_offenders_and_counts_the_rest_and_leaves_its_reports(workplace: Params) -> None:
    members = sound_members()
    for member in list(members)[:8]:
        members[member] = b""
    write_archive(members)
    with pytest.raises(WaymarkError, match="and 3 more") as stopped:
        validate.run(workplace)
    assert str(stopped.value).count("zero bytes") == 5
    assert json.loads(paths.VALIDATION.read_text())["expectations"]["entry_is_sound"]["unexpected"] == 8
    assert "zero bytes" in (paths.DATA_DOCS / "index.html").read_text()


@pytest.mark.slow
def test_command_ends_with_exit_code_1_and_no_traceback(workplace: Params) -> None:
    members = sound_members()
    empty(members)
    write_archive(members)
    Path("params.yaml").write_text(
        (REPOSITORY / "params.yaml").read_text().replace("dataset: rendered", "dataset: gtsrb")
    )
    command = [sys.executable, "-m", "waymark.stages.validate"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"TZ": "Asia/Tokyo"})
    assert ended.returncode == 1
    assert IN_ROW + "zero bytes" in ended.stderr
    assert "Traceback" not in ended.stderr


def write_archive(members: Members) -> None:
    folder = paths.raw("gtsrb")
    folder.mkdir(parents=True, exist_ok=True)
    with ZipFile(folder / "archive.zip", "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """An empty folder to run the stage in, and parameters that choose gtsrb."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "expectations").symlink_to(REPOSITORY / "expectations")
    return params.load(REPOSITORY / "params.yaml").model_copy(update={"dataset": "gtsrb"})
