import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waymark.contract import decode
from waymark.datasets.archives import ArchiveError
from waymark.datasets.base import Record
from waymark.datasets.cifar10 import CIFAR10, CLASS_NAMES
from waymark.errors import WaymarkError

SHARED = Path(os.environ.get("WAYMARK_SHARED", Path(__file__).parents[2] / "../shared/data"))
ROOT = "cifar-10-batches-py/"
META = {b"label_names": [name.encode() for name in CLASS_NAMES], b"num_vis": 3072}
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")


def batch(number: int, labels: list[Any], /, **changed: Any) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (len(labels), 3072), np.uint8)
    names = [f"image_{number}_{place}.png".encode() for place in range(len(labels))]
    entries = {"data": pixels, "labels": labels, "filenames": names} | changed
    return pickle.dumps({key.encode(): value for key, value in entries.items() if value is not None}, 2)


def files(root: str = ROOT) -> dict[str, bytes]:
    batches = {root + name: batch(number, [number, 9 - number]) for number, name in enumerate(BATCHES)}
    return batches | {root + "batches.meta": pickle.dumps(META, 2), root + "readme.html": b"<html>"}


def index(folder: Path, members: dict[str, bytes], name: str = "cifar-10-python.tar.gz") -> list[Record]:
    with tarfile.open(folder / name, "w:gz") as archive:
        for member, data in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return list(CIFAR10.index(folder))


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "anything.tgz"])
@pytest.mark.parametrize("root", [ROOT, "", "a/b/"])
def test_each_place_of_each_batch_is_a_record(tmp_path: Path, name: str, root: str) -> None:
    records = index(tmp_path, files(root), name)
    assert [record.member for record in records] == [f"{root}{batch}#{place}" for batch in BATCHES for place in (0, 1)]
    assert [record.label for record in records] == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5, 5, 4]
    assert [record.split for record in records] == ["train"] * 10 + ["test"] * 2
    member = f"{root}data_batch_2#1"
    assert records[3] == Record(name, member, "train", 8, group=member, row="image_1_1.png")


def test_order_is_the_archives(tmp_path: Path) -> None:
    records = index(tmp_path, dict(reversed(files().items())))
    assert [record.member for record in records[::2]] == [f"{ROOT}{batch}#0" for batch in BATCHES[::-1]]
    assert [record.split for record in records] == ["test"] * 2 + ["train"] * 10


def test_image_is_the_three_planes_of_its_row(tmp_path: Path) -> None:
    record = index(tmp_path, files())[3]
    planes = np.random.default_rng(1).integers(0, 256, (2, 3072), np.uint8)[1]
    with CIFAR10.open(tmp_path) as read:
        pixels = np.asarray(decode(read(record.archive, record.member)))
    assert pixels.shape == (32, 32, 3)
    for channel in range(3):
        assert np.array_equal(pixels[:, :, channel].ravel(), planes[channel * 1024 : (channel + 1) * 1024])


def test_what_it_says_of_itself() -> None:
    assert CIFAR10.class_names(Path("none"))[3] == "cat"
    assert (CIFAR10.grouping, CIFAR10.own_test, CIFAR10.name) == ("images", True, "cifar10")
    assert CIFAR10.origins[0].md5 == "c58f30108f718f92721af3b95e74349a"


@pytest.mark.parametrize("label", [10, -1, 32767])
def test_label_out_of_range_is_kept_for_the_expectation_to_judge(tmp_path: Path, label: int) -> None:
    record = index(tmp_path, files() | {ROOT + "data_batch_1": batch(0, [3, label])})[1]
    assert (record.label, record.problem) == (label, "")


@pytest.mark.parametrize(
    ("label", "said"),
    [(b"x", "x"), (None, "None"), (True, "True"), (2**15, "32768"), ([], "a list"), ("a\nb", "a\\nb")],
)
def test_label_that_is_no_number_is_a_problem(tmp_path: Path, label: object, said: str) -> None:
    record = index(tmp_path, files() | {ROOT + "data_batch_1": batch(0, [3, label])})[1]
    assert (record.label, record.problem) == (None, f"the label is {said}; expected a whole number")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"labels": [1]}, "has 1 labels for 2 images; collect it again"),
        ({"labels": None}, "has no labels for 2 images; collect it again"),
        ({"filenames": [b"a"] * 3}, "has 3 filenames for 2 images; collect it again"),
        ({"data": None}, "has no data of 3,072 bytes an image; expected a batch of CIFAR-10"),
        ({"data": b"pixels"}, "has no data of 3,072 bytes an image; expected a batch of CIFAR-10"),
        (
            {"data": np.zeros((2, 1024), np.uint8)},
            "has no data of 3,072 bytes an image; expected a batch of CIFAR-10",
        ),
        ({"data": np.zeros((2, 3072))}, "has an array of dtype 'f8'; expected u1"),
    ],
)
def test_batch_that_is_none_is_named(tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArchiveError) as refused:
        index(tmp_path, files() | {ROOT + "data_batch_3": batch(2, [1, 2], **changed)}, "c.tar.gz")
    assert str(refused.value) == f"c.tar.gz: member {ROOT}data_batch_3: {sentence}"


def test_batch_that_would_run_a_program_is_refused_with_what_it_asks_for(tmp_path: Path) -> None:
    written = tmp_path / "written"

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {written}",)

    with pytest.raises(ArchiveError) as refused:
        index(tmp_path, files() | {ROOT + "test_batch": batch(5, [1, Payload()])}, "c.tar.gz")
    assert str(refused.value) == (
        f"c.tar.gz: member {ROOT}test_batch: asks for posix.system where a batch of images holds numbers, text, lists "
        "and arrays of bytes only; nothing of it was run, get the archive from its publisher"
    )
    assert not written.exists()


def test_archive_without_a_batch_or_without_any_is_said(tmp_path: Path) -> None:
    with pytest.raises(WaymarkError) as refused:
        index(tmp_path, {"a.png": b"1"}, "c.tar.gz")
    assert str(refused.value) == (
        f"{tmp_path}: no CIFAR-10 batches in c.tar.gz; expected cifar-10-python.tar.gz, the version for Python"
    )
    cut = files()
    del cut[ROOT + "data_batch_4"]
    with pytest.raises(ArchiveError) as refused:
        index(tmp_path, cut, "c.tar.gz")
    assert str(refused.value) == (
        f"c.tar.gz: member {ROOT}data_batch_4: not in the archive, which has other batches; collect it again"
    )


def test_two_archives_are_one_too_many(tmp_path: Path) -> None:
    index(tmp_path, files(), "a.tar.gz")
    with pytest.raises(WaymarkError) as refused:
        index(tmp_path, files(), "b.tar.gz")
    both = f"a.tar.gz/{ROOT} and b.tar.gz/{ROOT} both hold CIFAR-10 batches"
    assert str(refused.value) == f"{tmp_path}: {both}; keep one of them"


def test_other_class_names_are_refused(tmp_path: Path) -> None:
    swapped = [b"automobile", b"airplane", *META[b"label_names"][2:]]  # type: ignore[index]
    with pytest.raises(ArchiveError) as refused:
        index(tmp_path, files() | {ROOT + "batches.meta": pickle.dumps({b"label_names": swapped}, 2)}, "c.tar.gz")
    assert str(refused.value) == (
        f"c.tar.gz: member {ROOT}batches.meta: names the classes automobile, airplane, bird, cat, deer, dog, frog, "
        "horse, ship, truck; expected CIFAR-10's (airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck)"
    )


@pytest.mark.parametrize("place", ["2", "-1", "x", "", "1#0"])
def test_reader_names_what_is_absent(tmp_path: Path, place: str) -> None:
    index(tmp_path, files(), "c.tar.gz")
    with CIFAR10.open(tmp_path) as read:
        with pytest.raises(ArchiveError, match=r"^c\.tar\.gz: member .*: not in the "):
            read("c.tar.gz", f"{ROOT}data_batch_1#{place}")
        with pytest.raises(ArchiveError, match=r"^other\.zip: member a#0: there is no such archive"):
            read("other.zip", "a#0")


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "cifar10/cifar-10-python.tar.gz").exists(), reason="the real cut of CIFAR-10 is not on this machine"
)
def test_real_cut_is_read_without_a_problem(tmp_path: Path) -> None:
    (tmp_path / "c.tar.gz").symlink_to((SHARED / "cifar10/cifar-10-python.tar.gz").resolve())
    records = list(CIFAR10.index(tmp_path))
    assert [sum(record.split == split for record in records) for split in ("train", "test")] == [6_000, 1_500]
    assert np.bincount([record.label for record in records if record.label is not None]).tolist() == [750] * 10
    assert {record.problem for record in records} == {""}
    with CIFAR10.open(tmp_path) as read:
        assert {decode(read(record.archive, record.member)).size for record in records} == {(32, 32)}
