import io
import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from zipfile import ZipFile

import pytest

from waymark.datasets.archives import ArchiveError
from waymark.datasets.base import Record
from waymark.datasets.folder import FOLDER, MAX_CLASSES, ClassFolders
from waymark.errors import WaymarkError

IMAGE = b"not decoded here"
PETS = ["cat/1.png", "cat/2.png", "dog/1.jpg"]


def zipped(path: Path, members: list[str]) -> None:
    with ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, IMAGE)


def index(folder: Path, group_pattern: str = "", **archives: list[str]) -> list[Record]:
    for name, members in archives.items():
        zipped(folder / f"{name}.zip", members)
    return list(ClassFolders("folder", group_pattern).index(folder))


def told(records: list[Record]) -> list[tuple[str, str, int | None, str]]:
    return [(record.member, record.split, record.label, record.problem) for record in records]


@pytest.mark.parametrize("root", ["", "pets/", "a/b/c/"])
def test_class_folders_below_any_root_are_training_images(tmp_path: Path, root: str) -> None:
    records = index(tmp_path, pets=[root + member for member in PETS])
    assert told(records) == [
        (f"{root}cat/1.png", "train", 0, ""),
        (f"{root}cat/2.png", "train", 0, ""),
        (f"{root}dog/1.jpg", "train", 1, ""),
    ]
    assert records[2] == Record("pets.zip", f"{root}dog/1.jpg", "train", 1, f"pets.zip/{root}dog/1.jpg")
    assert FOLDER.class_names(tmp_path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("word", "split"),
    [
        *[("train", "train"), ("Training", "train"), ("val", "val"), ("VALID", "val"), ("validation", "val")],
        *[("test", "test"), ("Testing", "test")],
    ],
)
@pytest.mark.parametrize("layout", ["{word}/{image}", "pets/{word}/{image}", "{word}/images/{image}"])
def test_folder_above_the_class_names_the_split(tmp_path: Path, word: str, split: str, layout: str) -> None:
    words = [layout.format(word="train", image=image) for image in PETS]
    records = index(tmp_path, pets=[*words, layout.format(word=word, image="dog/9.png")])
    assert [record.split for record in records] == ["train", "train", "train", split]
    assert records[-1].label == 1


def test_split_nearest_to_the_class_counts(tmp_path: Path) -> None:
    records = index(tmp_path, pets=["test/train/cat/1.png", "test/train/dog/1.png"])
    assert [record.split for record in records] == ["train", "train"]


def test_archive_named_by_a_split_is_that_split(tmp_path: Path) -> None:
    records = index(tmp_path, Train=PETS, test=["cat/1.png"], validation=["pets/dog/1.png"])
    assert [(record.archive, record.split, record.label) for record in records] == [
        *[("Train.zip", "train", 0), ("Train.zip", "train", 0), ("Train.zip", "train", 1)],
        *[("test.zip", "test", 0), ("validation.zip", "val", 1)],
    ]
    assert len({record.group for record in records}) == 5  # cat/1.png of train is not cat/1.png of test


def test_folder_inside_outweighs_the_archives_name(tmp_path: Path) -> None:
    records = index(tmp_path, test=["train/cat/1.png", "train/dog/1.png", "test/cat/1.png"])
    assert [record.split for record in records] == ["train", "train", "test"]


def test_class_may_be_called_train(tmp_path: Path) -> None:
    index(tmp_path, vehicles=["train/1.png", "car/1.png", "bus/1.png"])
    assert FOLDER.class_names(tmp_path) == ("bus", "car", "train")


def test_tar_and_plain_folder_are_read_alike(tmp_path: Path) -> None:
    (tmp_path / "tar").mkdir()
    with tarfile.open(tmp_path / "tar/train.tar.gz", "w:gz") as archive:
        for member in PETS:
            info = tarfile.TarInfo(f"./{member}")  # as `tar c .` writes them
            info.size = len(IMAGE)
            archive.addfile(info, io.BytesIO(IMAGE))
    for member in PETS:
        path = tmp_path / "plain/pets" / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE)
    for folder, root in ((tmp_path / "tar", "./"), (tmp_path / "plain", "")):
        records = list(FOLDER.index(folder))
        assert told(records) == [(root + name, "train", label, "") for name, label in zip(PETS, (0, 0, 1), strict=True)]
        with FOLDER.open(folder) as read:
            assert {read(record.archive, record.member) for record in records} == {IMAGE}


def test_what_is_no_image_is_left(tmp_path: Path) -> None:
    others = ["README.md", "cat/.DS_Store", "cat/labels.csv", "__MACOSX/cat/._1.png", "dog/._1.jpg", ".cache/cat/1.png"]
    assert [record.member for record in index(tmp_path, pets=[*PETS, *others])] == PETS


KNOWN = ".png, .jpg, .jpeg, .jfif, .ppm, .pgm, .pbm, .bmp, .webp, .gif, .tif, .tiff"


@pytest.mark.parametrize("suffix", KNOWN.split(", "))
def test_every_kind_that_decodes_is_an_image_in_either_case(tmp_path: Path, suffix: str) -> None:
    records = index(tmp_path, pets=[f"cat/1{suffix}", f"dog/1{suffix.upper()}"])
    assert [(record.label, record.problem) for record in records] == [(0, ""), (1, "")]


@pytest.mark.parametrize(("name", "kind"), [("1.heic", ".heic"), ("2.CR2", ".CR2"), ("3", "no suffix")])
def test_image_of_an_unknown_kind_is_a_problem_and_its_folder_a_class(tmp_path: Path, name: str, kind: str) -> None:
    records = index(tmp_path, pets=[*PETS, f"fish/{name}", "notes/a.txt", "tool.py", "cat/more/tool.py"])
    assert [record.member for record in records] == [*PETS, f"fish/{name}"]
    assert records[-1].label == 2
    assert records[-1].problem == f"is no image of a known kind ({kind}); known are {KNOWN}"
    assert FOLDER.class_names(tmp_path) == ("cat", "dog", "fish")


def test_archive_of_unknown_kinds_only_is_named_image_by_image(tmp_path: Path) -> None:
    records = index(tmp_path, pets=["train/cat/1.heic", "train/dog/1.heic"])
    assert [(record.member, record.label) for record in records] == [("train/cat/1.heic", 0), ("train/dog/1.heic", 1)]
    assert {record.problem for record in records} == {f"is no image of a known kind (.heic); known are {KNOWN}"}


def test_unknown_kind_beside_the_splits_is_a_problem_without_a_class(tmp_path: Path) -> None:
    record = index(tmp_path, pets=[*(f"train/{member}" for member in PETS), "extra/bird/1.heic"])[-1]
    assert (record.label, record.problem) == (None, f"is no image of a known kind (.heic); known are {KNOWN}")
    assert FOLDER.class_names(tmp_path) == ("cat", "dog")


def test_empty_class_folder_is_a_problem_and_a_class(tmp_path: Path) -> None:
    for layout in ("zip", "plain"):
        (tmp_path / layout).mkdir()
    members = ["train/", "train/cat/", "train/fish/", *(f"train/{member}" for member in PETS), "train/fish/.DS_Store"]
    zipped(tmp_path / "zip/pets.zip", [*members, "empty/", ".git/x/", "train/cat/more/"])
    for member in members:
        path = tmp_path / "plain/pets" / member
        path.mkdir(parents=True, exist_ok=True) if member.endswith("/") else path.write_bytes(IMAGE)
        (tmp_path / "plain/pets/train/dog").mkdir(exist_ok=True)
    for folder in (tmp_path / "zip", tmp_path / "plain"):
        records = list(FOLDER.index(folder))
        assert [record.label for record in records] == [0, 0, 1, 2]
        assert (records[3].member, records[3].split) == ("train/fish/", "train")
        assert records[3].problem == "is an empty folder; put images into it or remove it"
        assert FOLDER.class_names(folder) == ("cat", "dog", "fish")


@pytest.mark.parametrize("odd", ["1.png", "cat/more/1.png"])
def test_image_in_no_class_folder_is_a_problem(tmp_path: Path, odd: str) -> None:
    problems = {record.member: (record.label, record.problem) for record in index(tmp_path, pets=[*PETS, odd])}
    assert problems.pop(odd) == (None, "lies in no class folder; expected <class>/<image> at the depth of the others")
    assert set(problems.values()) == {(0, ""), (1, "")}


def test_image_beside_the_splits_is_a_problem(tmp_path: Path) -> None:
    members = [f"train/{member}" for member in PETS]
    record = index(tmp_path, pets=[*members, "extra/bird/1.png"])[-1]
    assert (record.label, record.problem) == (None, "lies in no folder of a split (train, val or test), unlike others")
    assert FOLDER.class_names(tmp_path) == ("cat", "dog")


def test_two_roots_are_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError) as refused:
        index(tmp_path, pets=["a/cat/1.png", "b/dog/1.png"])
    assert str(refused.value) == (
        "pets.zip: member b/dog/1.png: lies under another folder than a/cat/1.png, so it is unclear which folders are "
        "the classes; expected <class>/<image> or <split>/<class>/<image> below one folder"
    )


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([], "no class folders; expected two or more of them, as <class>/<image> or <split>/<class>/<image>"),
        (["1.png", "2.png"], "no class folders; expected two or more of them"),
        (["train/1.png", "test/2.png"], "no class folders; expected two or more of them"),
        (["cat/1.png", "cat/2.png"], "only the class folder cat; expected two or more of them"),
        (["test/cat/1.png", "test/dog/2.png"], "no training images; expected <class>/<image> or train/<class>/<image>"),
    ],
)
def test_what_has_no_two_classes_to_learn_is_said(tmp_path: Path, members: list[str], sentence: str) -> None:
    with pytest.raises(WaymarkError) as refused:
        index(tmp_path, pets=members)
    assert str(refused.value).startswith(f"{tmp_path}: {sentence}")


@pytest.mark.slow
def test_more_classes_than_labels_is_said(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError, match=r": 32,768 class folders; at most 32,767 are read$"):
        index(tmp_path, pets=[f"{number}/1.png" for number in range(MAX_CLASSES + 1)])


@pytest.mark.parametrize("name", ["a\nb\t\x1b[31m", "x" * 200, "<script>", "{{a}}", "ünï 🐈", "-rf", "%s", "nan", " "])
def test_odd_class_name_is_kept_as_it_is(tmp_path: Path, name: str) -> None:
    records = index(tmp_path, pets=[f"{name}/1.png", "zzz/1.png"])
    assert FOLDER.class_names(tmp_path)[records[0].label or 0] == name
    assert [record.problem for record in records] == ["", ""]
    assert json.loads(json.dumps(asdict(records[0])))["member"] == f"{name}/1.png"


def test_group_pattern_ties_images_together_across_classes(tmp_path: Path) -> None:
    members = ["sick/p1_a.png", "sick/p1_b.png", "sick/p2_a.png", "well/p1_a.png", "well/x.png"]
    records = index(tmp_path, r"/(p\d+)_", scans=members)
    assert [(record.group, record.frame) for record in records] == [
        *[("p1", 0), ("p1", 1), ("p2", 0), ("p1", 2), ("scans.zip/well/x.png", 0)]
    ]
    assert [record.problem for record in records[:4]] == [""] * 4
    assert (records[4].label, records[4].problem) == (1, r"group_pattern /(p\d+)_ finds no group in the path")


def test_group_in_two_splits_of_the_archive_is_one_group_whatever_the_class(tmp_path: Path) -> None:
    records = index(tmp_path, r"/(p\d+)_", scans=["train/sick/p1_a.png", "train/well/p2_a.png", "test/well/p1_b.png"])
    assert [(record.split, record.group) for record in records] == [("train", "p1"), ("train", "p2"), ("test", "p1")]


def test_grouping_follows_the_pattern() -> None:
    assert (FOLDER.grouping, ClassFolders("folder", "(a)").grouping) == ("images", "tracks")
    assert (FOLDER.name, FOLDER.own_test, FOLDER.origins) == ("folder", True, ())


def test_group_that_matches_nothing_is_a_problem(tmp_path: Path) -> None:
    records = index(tmp_path, "(x)?", pets=PETS)
    assert {record.problem for record in records} == {"group_pattern (x)? finds no group in the path"}
