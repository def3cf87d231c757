"""Bytes from elsewhere, mutated: each example ends in sound records or in one sentence, never in another exception."""

import gzip
import io
import pickle
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from waymark.contract import ImageError
from waymark.datasets import manifest
from waymark.datasets.asl import ASL
from waymark.datasets.base import Dataset, Record
from waymark.datasets.cifar10 import CIFAR10, CLASS_NAMES
from waymark.datasets.folder import ClassFolders
from waymark.datasets.gtsrb import GTSRB
from waymark.datasets.unpickling import PickleError, load
from waymark.errors import WaymarkError

pytestmark = pytest.mark.slow
PPM = b"P6\n2 1\n255\n\x00\x10\x20\x30\x40\x50"
ran: Counter[str] = Counter()


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )


@pytest.fixture(scope="module", autouse=True)
def two_thousand_examples(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    fuzzers = {item.name for item in request.session.items if item.path == request.path}
    if len(fuzzers) == 9:  # not where one was chosen by its name
        print(f"{ran.total():,} examples: {dict(ran)}")
        assert ran.total() >= 2_000


@st.composite
def mutated(draw: st.DrawFn, whole: bytes, likely: bytes = b"\x00\xff/.7") -> bytes:
    """`whole` with some bytes changed, half of them to `likely` ones, and perhaps a stretch of it cut or doubled."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(
            st.one_of(st.integers(0, 255), st.sampled_from(b"\x00\xff/.7"))
        )
    start = draw(st.integers(0, len(data)))
    length = draw(st.integers(0, 40))
    match draw(st.sampled_from(["keep", "keep", "cut", "double", "end"])):
        case "cut":
            del data[start : start + length]
        case "double":
            data[start:start] = data[start : start + length]
        case "end":
            del data[start:]
    return bytes(data)


def zip_of(files: dict[str, bytes]) -> bytes:
    with ZipFile(file := io.BytesIO(), "w", ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def outcome(dataset: Dataset, name: str, data: bytes) -> list[Record]:
    """The records of an archive, if the manifest can hold them; none where one sentence on one line refuses it."""
    ran[name] += 1
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(data)
        try:
            frame = manifest.build(dataset, Path(folder), workers=1)
        except WaymarkError as error:
            sentence = str(error)
        else:
            manifest.write(frame, Path(folder, "manifest.parquet"))
            records = list(dataset.index(Path(folder)))
            assert list(frame["member"]) == [record.member for record in records]
            assert all(problem.isprintable() for problem in frame["problem"])
            return records
    assert sentence.isprintable()
    assert 10 < len(sentence) < 1_000
    return []


PETS = {
    "pets/train/cat/1.ppm": PPM,
    "pets/train/dog/1.ppm": PPM + b"more",
    "pets/test/dog/ü2.ppm": PPM,
    "pets/a.txt": b"",
}
FOLDERS = ClassFolders("folder", r"/([^/]+)$")


def test_whole_archives_are_read() -> None:
    for name, data in (("a.zip", zip_of(PETS)), ("a.tar", tar_of(PETS)), ("a.tar.gz", tar_of(PETS, "w:gz"))):
        assert len(outcome(FOLDERS, name, data)) == 3
    assert len(outcome(GTSRB, "gtsrb.zip", kaggle(KAGGLE_ROWS))) == 2
    assert len(outcome(GTSRB, "gtsrb.zip", organisers(ORGANISERS_ROWS))) == 2
    assert len(outcome(CIFAR10, "cifar.tar", cifar(BATCH))) == 12


@examples(500)
@given(mutated(zip_of(PETS)))
def test_mutated_zip(data: bytes) -> None:
    outcome(FOLDERS, "a.zip", data)


def with_checksums(tar: bytes) -> bytes:
    """Each header's sum made right again, so that what was changed in it is read and not refused at once."""
    blocks = bytearray(tar)
    for start in range(0, len(blocks) - tarfile.BLOCKSIZE + 1, tarfile.BLOCKSIZE):
        if blocks[start + 257 : start + 262] == b"ustar":
            header = blocks[start : start + tarfile.BLOCKSIZE]
            header[148:156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return bytes(blocks)


@st.composite
def mutated_headers(draw: st.DrawFn) -> bytes:
    blocks = bytearray(tar_of(PETS))
    headers = [start for start in range(0, len(blocks), 512) if blocks[start + 257 : start + 262] == b"ustar"]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.sampled_from(headers))
        # name, mode, size, type, prefix; and the body behind it, where a pax header keeps its attributes
        field, length = draw(st.sampled_from([(0, 100), (100, 8), (124, 12), (156, 1), (345, 155), (512, 60)]))
        value = draw(
            st.one_of(st.binary(max_size=length), st.sampled_from([b"77777777777", b"L", b"x", b"g", b"2", b"S"]))
        )
        blocks[start + field : start + field + len(value[:length])] = value[:length]
    return with_checksums(bytes(blocks))


@examples(400)
@given(st.one_of(mutated(tar_of(PETS)), mutated_headers()))
def test_mutated_tar(data: bytes) -> None:
    outcome(FOLDERS, "a.tar", data)


@examples(300)
@given(st.one_of(mutated(tar_of(PETS, "w:gz")), mutated_headers().map(gzip.compress)))
def test_mutated_tar_gz(data: bytes) -> None:
    outcome(FOLDERS, "a.tar.gz", data)


COLUMNS = "Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
KAGGLE_ROWS = (
    f"{COLUMNS};Path\n2;1;0;0;1;0;14;Train/14/00014_00023_00007.png\n".replace(";", ",").encode(),
    f"{COLUMNS};Path\n2;1;0;0;1;0;16;Test/00000.png\n".replace(";", ",").encode(),
)
ORGANISERS_ROWS = (
    f"Filename;{COLUMNS}\r\n00023_00007.ppm;2;1;0;0;1;0;14\r\n".encode(),
    f"Filename;{COLUMNS}\r\n00000.ppm;2;1;0;0;1;0;16\r\n".encode(),
)


def text_mutated(rows: bytes) -> st.SearchStrategy[bytes]:
    separators = mutated(rows, b'0129-,;"\n\r /.x')
    return st.one_of(mutated(rows), separators.filter(bytes.isascii))


def kaggle(lists: tuple[bytes, bytes]) -> bytes:
    images = {"Train/14/00014_00023_00007.png": PPM, "Test/00000.png": PPM}
    return zip_of(images | {"Train.csv": lists[0], "Test.csv": lists[1]})


def organisers(lists: tuple[bytes, bytes]) -> bytes:
    train, test = "GTSRB/Final_Training/Images/00014/", "GTSRB/Final_Test/Images/"
    images = {train + "00023_00007.ppm": PPM, test + "00000.ppm": PPM}
    return zip_of(images | {train + "GT-00014.csv": lists[0], "GT-final_test.csv": lists[1]})


@examples(400)
@given(
    st.one_of(
        text_mutated(KAGGLE_ROWS[0]).map(lambda rows: kaggle((rows, KAGGLE_ROWS[1]))),
        text_mutated(KAGGLE_ROWS[1]).map(lambda rows: kaggle((KAGGLE_ROWS[0], rows))),
        text_mutated(ORGANISERS_ROWS[0]).map(lambda rows: organisers((rows, ORGANISERS_ROWS[1]))),
        text_mutated(ORGANISERS_ROWS[1]).map(lambda rows: organisers((ORGANISERS_ROWS[0], rows))),
    )
)
def test_mutated_lists_of_labels(data: bytes) -> None:
    outcome(GTSRB, "gtsrb.zip", data)


PIXELS = np.zeros((2, 3072), np.uint8)
BATCH = pickle.dumps({b"labels": [1, 2], b"data": PIXELS, b"filenames": [b"a.png", b"b.png"], b"batch_label": b"1"}, 2)
OPCODES = (
    b"(.}])q\x00h\x00K\x01K\x02\x85\x86\x87Rbtueas0N\x88\x89\x93\x94cnumpy\nndarray\ncnumpy\ndtype\nU\x02u1\x80\x02"
)


def cifar(batch: bytes) -> bytes:
    files = {f"data_batch_{number}": BATCH for number in range(1, 6)} | {"test_batch": batch}
    return tar_of(files | {"batches.meta": pickle.dumps({b"label_names": [name.encode() for name in CLASS_NAMES]}, 2)})


@st.composite
def mutated_batch(draw: st.DrawFn) -> bytes:
    """A batch whose mutations fall beside the pixels, which are most of it."""
    start, end = BATCH.index(b"data"), BATCH.index(b"filenames") - 5
    middle = end - 40
    head, tail = draw(mutated(BATCH[: start + 200])), draw(mutated(BATCH[middle:]))
    return draw(st.sampled_from([head + BATCH[start + 200 :], BATCH[:middle] + tail]))


@examples(400)
@given(st.one_of(mutated_batch(), mutated(BATCH)))
def test_mutated_batch(data: bytes) -> None:
    outcome(CIFAR10, "cifar.tar", cifar(data))


@examples(1_000)
@given(st.lists(st.one_of(st.sampled_from([OPCODES[i : i + 4] for i in range(len(OPCODES))]), st.binary(max_size=8))))
def test_opcode_soup(parts: list[bytes]) -> None:
    ran["soup"] += 1
    said, batch = "", {}
    try:
        batch = load(b"\x80\x02" + b"".join(parts) + b".")
    except PickleError as error:
        said = str(error)
    assert said.isprintable()
    assert all(isinstance(key, str) for key in batch)


FOLDER = st.one_of(
    st.sampled_from(["train", "TEST", "val", "cat", "dog", ".", "..", "A", "asl_alphabet_train", "asl_alphabet_test"]),
    st.text(max_size=6),
    st.just("x" * 200),
)
NAME = st.one_of(
    st.sampled_from(["1.png", "A1.jpg", "A_test.jpg", "A0001_test.jpg", "a.ppm", "a.txt", ".png", "A99999999.jpg"]),
    st.text(max_size=6).map(lambda text: text + ".png"),
)
MEMBER = st.tuples(st.lists(FOLDER, max_size=4), NAME).map(lambda path: "/".join([*path[0], path[1]]))


@examples(400)
@given(st.lists(MEMBER, min_size=1, max_size=6), st.sampled_from(["a.zip", "test.tar"]))
def test_folders_and_names_of_any_kind(members: list[str], name: str) -> None:
    files = dict.fromkeys(members, PPM)
    try:
        data = zip_of(files) if name.endswith(".zip") else tar_of(files)
    except (ValueError, IndexError):  # a name that zipfile or tarfile cannot write
        return
    outcome(FOLDERS, name, data)
    outcome(ASL, name, data)


def photograph() -> bytes:
    """A small JPEG with an entry of each kind of value in its EXIF, which is most of it."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x011A] = "maker", 6, 72.0  # orientation 6: EXIF is written anew in turning
    exif.get_ifd(0x8769)[0x829A] = 0.5
    Image.new("RGB", (8, 4), (200, 90, 10)).save(file := io.BytesIO(), "JPEG", exif=exif)
    return file.getvalue()


PHOTOGRAPH = photograph()
EXIF_END = PHOTOGRAPH.index(b"\xff\xdb")  # where the tables of the picture itself begin


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@examples(500)
@given(mutated(PHOTOGRAPH[:EXIF_END]))
def test_mutated_exif(head: bytes) -> None:
    ran["exif"] += 1
    data = head + PHOTOGRAPH[EXIF_END:]
    said, facts = "", {}
    try:
        facts = manifest._facts(data)
    except ImageError as error:
        said = str(error)
    assert said.isprintable()
    assert said or (facts["width"], facts["height"]) in {(8, 4), (4, 8)}
