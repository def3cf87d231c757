import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from waymark.datasets.archives import ArchiveError
from waymark.datasets.base import Record
from waymark.datasets.gtsrb import GTSRB
from waymark.errors import WaymarkError

SHARED = Path(os.environ.get("WAYMARK_SHARED", Path(__file__).parents[2] / "../shared/data"))
COLUMNS = "Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2"
ORGANISERS = f"Filename;{COLUMNS};ClassId\r\n"
KAGGLE = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n"
IMAGE = b"not decoded here"
Files = dict[str, bytes | str]

FINAL_TRAINING: Files = {
    "GTSRB/Readme-Images.txt": "read me",
    "GTSRB/Final_Training/Images/00014/00023_00007.ppm": IMAGE,
    "GTSRB/Final_Training/Images/00014/GT-00014.csv": ORGANISERS + "00023_00007.ppm;30;31;5;6;24;25;14\r\n",
}
FINAL_TEST: Files = {
    "GTSRB/Final_Test/Images/00000.ppm": IMAGE,
    "GTSRB/Final_Test/Images/GT-final_test.test.csv": f"Filename;{COLUMNS}\r\n00000.ppm;30;31;5;6;24;25\r\n",
}
FINAL_LABELS: Files = {"GT-final_test.csv": ORGANISERS + "00000.ppm;30;31;5;6;24;25;16\r\n"}
PHASE_1_TRAINING: Files = {
    "GTSRB/Training/00014/00023_00007.ppm": IMAGE,
    "GTSRB/Training/00014/GT-00014.csv": ORGANISERS + "00023_00007.ppm;30;31;5;6;24;25;14\r\n",
}
PHASE_1_TEST: Files = {
    "GTSRB/Online-Test-sort/Images/00000.ppm": IMAGE,
    "GTSRB/Online-Test-sort/00016/00000.ppm": IMAGE,
    "GTSRB/Online-Test-sort/00016/GT-00016.csv": ORGANISERS + "00000.ppm;30;31;5;6;24;25;16\r\n",
}
KAGGLE_ALL: Files = {
    "Meta/14.png": IMAGE,
    "Meta.csv": "Path,ClassId,ShapeId,ColorId,SignId\n",
    "Train/14/00014_00023_00007.png": IMAGE,
    "train/14/00014_00023_00007.png": IMAGE,
    "Train.csv": KAGGLE + "30,31,5,6,24,25,14,Train/14/00014_00023_00007.png\n",
    "Test/00000.png": IMAGE,
    "Test.csv": KAGGLE + "30,31,5,6,24,25,16,Test/00000.png\n",
}


def index(folder: Path, **archives: Files) -> list[Record]:
    for name, files in archives.items():
        with ZipFile(folder / f"{name}.zip", "w") as archive:
            for member, data in files.items():
                archive.writestr(member, data)
    return list(GTSRB.index(folder))


def only_problem(folder: Path, row: str, **files: str | bytes) -> Record:
    """The training record of Kaggle's layout when its list has `row` alone."""
    records = index(folder, archive=KAGGLE_ALL | {"Train.csv": KAGGLE + row} | files)
    assert records[-1].split == "test"
    assert not records[-1].problem
    return records[0]


TRAINING = Record(
    archive="a.zip",
    member="GTSRB/Final_Training/Images/00014/00023_00007.ppm",
    split="train",
    label=14,
    group="00014_00023",
    frame=7,
    roi=(5, 6, 24, 25),
    declared_size=(30, 31),
    row="GT-00014.csv line 2",
)
TEST = Record(
    archive="b.zip",
    member="GTSRB/Final_Test/Images/00000.ppm",
    split="test",
    label=16,
    group="test_00000",
    roi=(5, 6, 24, 25),
    declared_size=(30, 31),
    row="GT-final_test.csv line 2",
)


def test_final_zips_under_any_name(tmp_path: Path) -> None:
    assert index(tmp_path, a=FINAL_TRAINING, b=FINAL_TEST, c=FINAL_LABELS) == [TRAINING, TEST]


def test_phase_1_zips_without_the_folder_that_repeats_the_test_images(tmp_path: Path) -> None:
    train, test = index(tmp_path, a=PHASE_1_TRAINING, b=PHASE_1_TEST)
    assert (train.member, train.group, train.frame) == ("GTSRB/Training/00014/00023_00007.ppm", "00014_00023", 7)
    assert (test.label, test.group, test.problem) == (16, "test_00016_00000", "")


def test_phase_1_training_goes_with_the_final_test(tmp_path: Path) -> None:
    train, test = index(tmp_path, a=PHASE_1_TRAINING, b=FINAL_TEST, c=FINAL_LABELS)
    assert (train.split, train.label, test) == ("train", 14, TEST)


@pytest.mark.parametrize("prefix", ["", "gtsrb-german-traffic-sign/"])
def test_kaggles_zip_without_its_copy_in_small_letters(tmp_path: Path, prefix: str) -> None:
    train, test = index(tmp_path, archive={prefix + member: data for member, data in KAGGLE_ALL.items()})
    assert (train.member, train.row) == (f"{prefix}Train/14/00014_00023_00007.png", "Train.csv line 2")
    assert (train.label, train.group, train.frame, train.roi) == (14, "00014_00023", 7, (5, 6, 24, 25))
    assert (test.label, test.group, test.problem) == (16, "test_00000", "")


def test_resource_forks_of_a_zip_made_on_a_mac_are_no_images(tmp_path: Path) -> None:
    fork: Files = {"__MACOSX/Train/14/._00014_00023_00007.png": b"fork"}
    assert [record.problem for record in index(tmp_path, archive=KAGGLE_ALL | fork)] == ["", ""]


@pytest.mark.parametrize(
    ("archives", "sentence"),
    [
        ({}, "no GTSRB train images in it"),
        ({"a": FINAL_TRAINING}, "no GTSRB test images in a.zip"),
        ({"a": FINAL_TRAINING, "b": FINAL_TEST}, "no lists of labels; put GTSRB_Final_Test_GT.zip beside it"),
        ({"a": FINAL_TRAINING, "b": PHASE_1_TRAINING}, "are both there; keep one of them"),
        ({"a": KAGGLE_ALL | {"Train.csv": "a,b\n"}}, "member Train.csv: has no column Filename|Path, Width"),
        ({"a": KAGGLE_ALL | {"Train.csv": b"\xff\xfe\x00"}}, "member Train.csv: is no list of labels"),
        ({"a": KAGGLE_ALL | {"Train.csv": ""}}, "member Train.csv: has no column"),
    ],
)
def test_what_cannot_be_read_as_gtsrb_is_said(tmp_path: Path, archives: dict[str, Files], sentence: str) -> None:
    with pytest.raises(WaymarkError) as refused:
        index(tmp_path, **archives)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("30,31,5,6,24,25,x,Train/14/00014_00023_00007.png", "ClassId is 'x'; expected a whole number"),
        ("30,31,5,6,24,25,,Train/14/00014_00023_00007.png", "ClassId is ''; expected a whole number"),
        ("30,31,5,6,24,25,1e1,Train/14/00014_00023_00007.png", "ClassId is '1e1'; expected a whole number"),
        ("30,3l,5,6,24,25,14,Train/14/00014_00023_00007.png", "Height is '3l'; expected a whole number"),
        ("30,31,5,6,24,25,15,Train/14/00014_00023_00007.png", "but the image lies in the folder of class 14"),
        ("30,31,5,6,24,25,14,Train/14/none.png", "the row's image is not in archive.zip"),
        ("30,31,5,6,24,25,14,Train.csv", "the row's image is not in archive.zip"),
        ("30,31,5,6,24,25,14,Train/../../x.png", "leads out of the archive"),
        ("30,31,5,6,24,25,14,/etc/passwd", "the path is absolute"),
        ("30,31,5,6,24,25,14,C:\\x.png", "Windows path"),
        ("30,31,5", "the path has no name"),
    ],
)
def test_faulty_row_is_a_record_with_its_problem(tmp_path: Path, row: str, problem: str) -> None:
    record = only_problem(tmp_path, row + "\n")
    assert problem in record.problem
    assert record.row == "Train.csv line 2"


def test_label_out_of_range_is_kept_for_the_expectation_to_judge(tmp_path: Path) -> None:
    record = only_problem(tmp_path, "30,31,5,6,24,25,43,Train/14/00014_00023_00007.png\n")
    assert (record.label, record.problem) == (43, "")


def test_image_without_a_row_and_row_twice_are_problems(tmp_path: Path) -> None:
    row = "30,31,5,6,24,25,14,Train/14/00014_00023_00007.png\n"
    files: Files = {"Train.csv": KAGGLE + row + row, "Train/14/00014_00023_00008.png": IMAGE}
    problems = {(record.member[-5], record.row): record.problem for record in index(tmp_path, a=KAGGLE_ALL | files)}
    assert problems["7", "Train.csv line 3"] == "a row before this one names the same image"
    assert problems["8", ""].startswith("no row names this image")


def test_name_of_another_class_than_its_folder_is_a_problem(tmp_path: Path) -> None:
    row = "30,31,5,6,24,25,14,Train/14/00015_00023_00007.png\n"
    files: Files = {"Train.csv": KAGGLE + row, "Train/14/00015_00023_00007.png": IMAGE}
    record = index(tmp_path, a=KAGGLE_ALL | files)[0]
    assert record.problem == "named as class 15 but lies in the folder of class 14"


def test_reader_gives_bytes_and_names_what_is_absent(tmp_path: Path) -> None:
    record = index(tmp_path, archive=KAGGLE_ALL)[0]
    with GTSRB.open(tmp_path) as read:
        assert read(record.archive, record.member) == IMAGE
        with pytest.raises(ArchiveError, match=r"archive\.zip: member none\.png: not in the archive"):
            read("archive.zip", "none.png")
        with pytest.raises(ArchiveError, match="there is no such archive"):
            read("other.zip", record.member)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "gtsrb/archive.zip").exists(), reason="the real cut of GTSRB is not on this machine")
def test_real_cut_is_read_without_a_problem(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").symlink_to((SHARED / "gtsrb/archive.zip").resolve())
    records = list(GTSRB.index(tmp_path))
    train = [record for record in records if record.split == "train"]
    assert (len(train), len(records) - len(train)) == (10_430, 2_640)
    assert len({record.group for record in train}) == 1_043
    assert {record.problem for record in records} == {""}
