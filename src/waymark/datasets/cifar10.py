"""CIFAR-10 as its authors publish it for Python: six pickled batches of 32 × 32 px images in one tar.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009. A batch is a dictionary of `data`
((N, 3072) uint8: the red plane, the green, the blue), `labels` and `filenames`. The archive is known by its members.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from waymark.datasets import unpickling
from waymark.datasets.archives import Archive, ArchiveError, open_all, shown
from waymark.datasets.base import Grouping, Origin, Read, Record, Split
from waymark.errors import WaymarkError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BATCHES: dict[str, Split] = {
    "data_batch_1": "train",
    "data_batch_2": "train",
    "data_batch_3": "train",
    "data_batch_4": "train",
    "data_batch_5": "train",
    "test_batch": "test",
}
_META = "batches.meta"
_SIDE = 32  # px
_HEADER = f"P6\n{_SIDE} {_SIDE}\n255\n".encode()


@dataclass(frozen=True)
class TinyImages:
    """A data set in CIFAR-10's layout. A record's member is the path of its batch, `#` and its place in it."""

    name: str
    origins: tuple[Origin, ...]
    grouping: Grouping = "images"
    own_test: bool = True

    def class_names(self, folder: Path) -> tuple[str, ...]:
        return CLASS_NAMES

    def index(self, folder: Path) -> Iterator[Record]:
        """Every image, in the archive's order (gzip cannot go back without starting over); see `Dataset.index`."""
        with open_all(folder) as opened:
            archive, root = _find(opened, folder)
            for member in archive.members:
                name = member.removeprefix(root)
                if member == root + _META:
                    _check_names(archive, member)
                elif member.startswith(root) and name in _BATCHES:
                    batch = _batch(archive, member)
                    for place, (label, row) in enumerate(zip(batch.labels, batch.names, strict=True)):
                        yield _record(archive.name, f"{member}#{place}", _BATCHES[name], label, _text(row))

    @contextmanager
    def open(self, folder: Path) -> Iterator[Read]:
        """A reader that gives each image as a binary PPM; a batch is read once, and all six take 180 MB."""
        with open_all(folder) as opened:
            batches: dict[tuple[str, str], NDArray[np.uint8]] = {}

            def read(archive: str, member: str) -> bytes:
                if archive not in opened:
                    raise ArchiveError(archive, member, f"there is no such archive in {folder}")
                batch, _, place = member.rpartition("#")
                if (archive, batch) not in batches:
                    batches[archive, batch] = _batch(opened[archive], batch).pixels
                pixels = batches[archive, batch]
                if not re.fullmatch(r"\d{1,6}", place, re.ASCII) or int(place) >= len(pixels):
                    raise ArchiveError(archive, member, f"not in the batch, which has {len(pixels):,} images")
                return _ppm(pixels[int(place)])

            yield read


@dataclass(frozen=True)
class _Batch:
    labels: list[object]
    names: list[object]  # the images' file names, before they were pickled
    pixels: NDArray[np.uint8]  # (N, 3072): the red plane, the green, the blue, row by row


def _find(opened: dict[str, Archive], folder: Path) -> tuple[Archive, str]:
    """The one archive that holds batches, and their folder inside it."""
    pattern = re.compile(rf"((?:.*/)?)(?:{'|'.join(map(re.escape, (*_BATCHES, _META)))})", re.DOTALL)
    matches = [(name, pattern.fullmatch(member)) for name, archive in opened.items() for member in archive.members]
    found = sorted({(name, match[1]) for name, match in matches if match})
    if not found:
        raise WaymarkError(
            f"{folder}: no CIFAR-10 batches in {', '.join(opened) or 'it (no archive)'}; expected"
            " cifar-10-python.tar.gz, the version for Python"
        )
    if len(found) > 1:
        places = " and ".join(shown(f"{name}/{root}") for name, root in found[:2])
        raise WaymarkError(f"{folder}: {places} both hold CIFAR-10 batches; keep one of them")
    name, root = found[0]
    for member in (*_BATCHES, _META):
        if root + member not in opened[name].members:
            raise ArchiveError(name, root + member, "not in the archive, which has other batches; collect it again")
    return opened[name], root


def _check_names(archive: Archive, member: str) -> None:
    names = _unpickled(archive, member).get("label_names")
    found = [_text(name) for name in names] if isinstance(names, list) else []
    if tuple(found) != CLASS_NAMES:
        expected = f"expected CIFAR-10's ({', '.join(CLASS_NAMES)})"
        raise ArchiveError(archive.name, member, f"names the classes {shown(', '.join(found)) or '(none)'}; {expected}")


def _record(archive: str, member: str, split: Split, label: object, row: str) -> Record:
    # The manifest holds labels of 16 bits; whether one of them is a class is for its expectation to judge.
    if isinstance(label, int) and not isinstance(label, bool) and abs(label) < 2**15:
        return Record(archive, member, split, label, group=member, row=row)
    problem = f"the label is {shown(_text(label))}; expected a whole number"
    return Record(archive, member, split, None, group=member, row=row, problem=problem)


def _batch(archive: Archive, member: str) -> _Batch:
    entries = _unpickled(archive, member)
    pixels, labels, names = (entries.get(key) for key in ("data", "labels", "filenames"))
    if not isinstance(pixels, np.ndarray) or pixels.shape[1] != 3 * _SIDE**2:
        raise ArchiveError(archive.name, member, "has no data of 3,072 bytes an image; expected a batch of CIFAR-10")
    for key, values in (("labels", labels), ("filenames", names)):
        if not isinstance(values, list) or len(values) != len(pixels):
            count = f"{len(values):,}" if isinstance(values, list) else "no"
            raise ArchiveError(archive.name, member, f"has {count} {key} for {len(pixels):,} images; collect it again")
    assert isinstance(labels, list)
    assert isinstance(names, list)
    return _Batch(labels, names, pixels)


def _ppm(planes: NDArray[np.uint8]) -> bytes:
    """The file that holds these pixels exactly, for the least work."""
    pixels: NDArray[np.uint8] = planes.reshape(3, _SIDE, _SIDE).transpose(1, 2, 0)
    return _HEADER + pixels.tobytes()


def _unpickled(archive: Archive, member: str) -> dict[str, object]:
    try:
        return unpickling.load(archive.read(member))
    except unpickling.PickleError as error:
        raise ArchiveError(archive.name, member, str(error)) from None


def _text(value: object) -> str:
    """A name as text, printable whatever the pickle holds in its place."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, list | dict | tuple):  # which may hold itself
        value = f"a {type(value).__name__}"
    return shown(str(value) if isinstance(value, str) else repr(value))


CIFAR10 = TinyImages(
    "cifar10",
    (
        Origin(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "cifar-10-python.tar.gz",
            md5="c58f30108f718f92721af3b95e74349a",  # as published on the page of the data set
        ),
    ),
)
