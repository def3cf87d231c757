import os
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import pytest

from waymark.contract import decode
from waymark.datasets.asl import ASL
from waymark.datasets.base import Record
from waymark.errors import WaymarkError

SHARED = Path(os.environ.get("WAYMARK_SHARED", Path(__file__).parents[2] / "../shared/data"))
TRAIN = "asl_alphabet_train/asl_alphabet_train/"
TEST = "asl_alphabet_test/asl_alphabet_test/"
OWN = [f"{TRAIN}A/A1.jpg", f"{TRAIN}space/space250.jpg", f"{TEST}A_test.jpg", f"{TEST}nothing_test.jpg"]


def index(folder: Path, **archives: list[str]) -> list[Record]:
    for name, members in archives.items():
        with ZipFile(folder / f"{name}.zip", "w") as archive:
            for member in members:
                archive.writestr(member, b"not decoded here")
    return list(ASL.index(folder))


def test_training_frames_are_numbered_and_grouped_in_blocks(tmp_path: Path) -> None:
    first, last, *_ = index(tmp_path, a=OWN)
    assert first == Record("a.zip", OWN[0], "train", 0, "A_0000", frame=1, part="same_signer")
    assert last == Record("a.zip", OWN[1], "train", 28, "space_0004", frame=250, part="same_signer")


@pytest.mark.parametrize(("frame", "group"), [(50, "B_0000"), (51, "B_0001"), (2951, "B_0059"), (3000, "B_0059")])
def test_block_is_fifty_frames(tmp_path: Path, frame: int, group: str) -> None:
    (record,) = index(tmp_path, a=[f"{TRAIN}B/B{frame}.jpg"])
    assert (record.frame, record.group) == (frame, group)


def test_own_test_images_show_the_same_signer(tmp_path: Path) -> None:
    records = index(tmp_path, a=OWN)[2:]
    assert records == [
        Record("a.zip", OWN[2], "test", 0, f"a.zip/{OWN[2]}", part="same_signer"),
        Record("a.zip", OWN[3], "test", 27, f"a.zip/{OWN[3]}", part="same_signer"),
    ]


@pytest.mark.parametrize("other", ["del/del7.jpg", "del/del0007_test.jpg", "asl-alphabet-test/del/del0007_test.jpg"])
def test_second_archive_shows_another_signer(tmp_path: Path, other: str) -> None:
    record = index(tmp_path, z=OWN, a=[other])[-1]
    assert record == Record("a.zip", other, "test", 26, f"a.zip/{other}", part="other_signer")


@pytest.mark.parametrize(
    "prefixes",
    [
        ("asl_alphabet_train/", "asl_alphabet_test/"),
        ("asl-alphabet/asl_alphabet_train/", "asl-alphabet/asl_alphabet_test/"),
        ("a/b/" + TRAIN, "a/b/" + TEST),
    ],
)
def test_folder_more_or_fewer_does_not_matter(tmp_path: Path, prefixes: tuple[str, str]) -> None:
    train, test = index(tmp_path, x=[f"{prefixes[0]}Z/Z12.jpg", f"{prefixes[1]}Z_test.jpg"])
    assert (train.split, train.label, train.frame, train.part) == ("train", 25, 12, "same_signer")
    assert (test.split, test.label, test.part, test.problem) == ("test", 25, "same_signer", "")


@pytest.mark.parametrize(
    ("member", "label", "problem"),
    [
        (f"{TRAIN}A/B7.jpg", 0, "named B7 but lies in the folder A"),
        (f"{TRAIN}A/A.jpg", 0, "named A; expected A<n>"),
        (f"{TRAIN}A/A1234567.jpg", 0, "named A1234567 but lies in the folder A"),
        (f"{TRAIN}A/A٣.jpg", 0, "named A٣; expected A<n>"),
        (f"{TRAIN}a/a1.jpg", None, "lies in the folder a; expected a folder A to Z, del, nothing or space"),
        (
            f"{TRAIN}A1.jpg",
            None,
            "lies in the folder asl_alphabet_train; expected a folder A to Z, del, nothing or space",
        ),
        (f"{TEST}AB_test.jpg", None, "named AB_test; expected <class>_test"),
        ("B/A0001_test.jpg", 1, "named A0001_test but lies in the folder B"),
        ("A1.jpg", None, "lies in no folder; expected a folder A to Z, del, nothing or space"),
    ],
)
def test_path_that_contradicts_itself_is_a_record_with_its_problem(
    tmp_path: Path, member: str, label: int | None, problem: str
) -> None:
    (record,) = [record for record in index(tmp_path, a=[*OWN, member]) if record.member == member]
    assert (record.label, record.problem) == (label, problem)
    assert record.group == f"a.zip/{member}"


def test_shadows_of_a_mac_and_other_files_are_no_images(tmp_path: Path) -> None:
    assert len(index(tmp_path, a=[*OWN, f"__MACOSX/{TRAIN}A/._A1.jpg", f"{TRAIN}A/.DS_Store", "README.md"])) == len(OWN)


def test_what_is_no_asl_alphabet_is_said(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError) as refused:
        index(tmp_path, a=["A/A1.jpg"])
    assert str(refused.value) == (
        f"{tmp_path}: no ASL training images in a.zip; expected Kaggle's asl-alphabet with "
        "asl_alphabet_train/<class>/<class><n>.jpg"
    )
    with pytest.raises(WaymarkError) as refused:
        index(tmp_path, b=OWN, c=OWN)
    assert str(refused.value) == (
        f"{tmp_path}: b.zip/{TRAIN[:-1]} and c.zip/{TRAIN[:-1]} both hold ASL training images; keep one of them"
    )


def test_what_it_says_of_itself() -> None:
    names = ASL.class_names(Path("none"))
    assert (len(names), names[0], names[25:]) == (29, "A", ("Z", "del", "nothing", "space"))
    assert (ASL.grouping, ASL.own_test) == ("frames", False)
    assert [origin.url for origin in ASL.origins] == [
        "kaggle://grassknoted/asl-alphabet",
        "kaggle://danrasband/asl-alphabet-test",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "asl/archive.zip").exists(), reason="the real cut of ASL is not on this machine")
def test_real_cut_is_read_without_a_problem(tmp_path: Path) -> None:
    for name in ("archive.zip", "other-signer.zip"):
        (tmp_path / name).symlink_to((SHARED / "asl" / name).resolve())
    records = list(ASL.index(tmp_path))
    assert Counter((record.split, record.part) for record in records) == {
        ("train", "same_signer"): 8_700,
        ("test", "same_signer"): 28,
        ("test", "other_signer"): 580,
    }
    assert {record.problem for record in records} == {""}
    of_class = Counter(record.label for record in records if record.split == "train")
    assert set(of_class.values()) == {300}
    with ASL.open(tmp_path) as read:
        sizes = Counter(decode(read(record.archive, record.member)).size for record in records)
    assert sizes == {(64, 64): 8_728, (200, 200): 580}
