"""The German Traffic Sign Recognition Benchmark, in each of the layouts in which people get it.

Stallkamp et al., "Man vs. computer", Neural Networks 32, 2012. The organisers publish zips of PPM images with one
`;` list a class (the final data set and that of the competition's first phase); Kaggle has one zip of PNG images with
two `,` lists. A layout is known by its members, never by the archive's file name.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from waymark.datasets.archives import Archive, ArchiveError, open_all, open_reader, shown, unsafe
from waymark.datasets.base import Grouping, Origin, Read, Record, Split
from waymark.datasets.traffic_sign_names import CLASS_NAMES
from waymark.errors import WaymarkError

_IMAGES = (".ppm", ".png", ".jpg", ".jpeg", ".bmp", ".webp")
_MACOS = "__MACOSX/"  # resource forks under the images' own names, from zips made in the Finder
_TRACK = re.compile(r"(?:(?P<sign>\d{5})_)?(?P<track>\d{5})_(?P<frame>\d{5})")
_NUMBERS = ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")


@dataclass(frozen=True)
class _Layout:
    """Where one publication keeps the images of one split, and the lists that describe them."""

    title: str
    split: Split
    images: re.Pattern[str]  # group 1 is the folder that the lists' paths start from, `sign` the class folder
    lists: str  # pattern of the lists' paths, {root} being group 1; a list anywhere in any archive where it has none
    missing: str  # what to do when there is no list


_PER_CLASS = r"{root}\d{{5}}/[^/]+\.csv"
_LAYOUTS = (
    _Layout(
        "the final training images",
        "train",
        re.compile(r"((?:.*/)?Final_Training/Images/)(?:(?P<sign>\d+)/)?"),
        _PER_CLASS,
        "collect GTSRB_Final_Training_Images.zip again",
    ),
    _Layout(
        "the phase-1 training images",
        "train",
        re.compile(r"((?:.*/)?Training/)(?:(?P<sign>\d+)/)?"),
        _PER_CLASS,
        "collect GTSRB-Training_fixed.zip again",
    ),
    _Layout(
        "Kaggle's training images",
        "train",
        re.compile(r"((?:.*/)?)Train/(?:(?P<sign>\d+)/)?"),
        r"{root}Train\.csv",
        "collect Kaggle's whole zip again",
    ),
    _Layout(
        "the final test images",
        "test",
        re.compile(r"((?:.*/)?Final_Test/Images/)"),
        r"(?:.*/)?GT-final_test\.csv",
        "put GTSRB_Final_Test_GT.zip beside it",
    ),
    _Layout(
        "the phase-1 test images",
        "test",
        # The published zip also has an `Images` folder beside the class folders; it has no list and is no part of it.
        re.compile(r"((?:.*/)?Online-Test-sort/)(?!Images/)(?:(?P<sign>\d+)/)?"),
        _PER_CLASS,
        "collect GTSRB_Online-Test-Images-Sorted.zip again",
    ),
    _Layout(
        "Kaggle's test images",
        "test",
        re.compile(r"((?:.*/)?)Test/"),
        r"{root}Test\.csv",
        "collect Kaggle's whole zip again",
    ),
)


@dataclass(frozen=True)
class TrafficSigns:
    """A data set in GTSRB's layout."""

    name: str
    origins: tuple[Origin, ...]
    grouping: Grouping = "tracks"
    own_test: bool = True

    def class_names(self, folder: Path) -> tuple[str, ...]:
        return CLASS_NAMES

    def index(self, folder: Path) -> Iterator[Record]:
        """Every image and every row, training first, in the lists' order; see `Dataset.index`."""
        with open_all(folder) as opened:
            parts = [part for archive in opened.values() for part in _parts(archive)]
            for split in ("train", "test"):
                found = [part for part in parts if part.layout.split == split]
                if not found:
                    raise WaymarkError(
                        f"{folder}: no GTSRB {split} images in {', '.join(opened) or 'it (no archive)'}; expected the"
                        " organisers' zips or Kaggle's single zip"
                    )
                if len(found) > 1:
                    places = " and ".join(f"{part.layout.title} ({part.archive.name})" for part in found)
                    raise WaymarkError(f"{folder}: {places} are both there; keep one of them")
                yield from _records(found[0], opened, len(CLASS_NAMES))

    def open(self, folder: Path) -> AbstractContextManager[Read]:
        """See `Dataset.open`."""
        return open_reader(folder)


@dataclass(frozen=True)
class _Part:
    """The images of one split as one archive holds them."""

    layout: _Layout
    archive: Archive
    root: str
    images: dict[str, str]  # member -> name of its class folder, empty where it lies in none


def _parts(archive: Archive) -> Iterator[_Part]:
    images = [m for m in archive.members if m.lower().endswith(_IMAGES) and not m.startswith(_MACOS)]
    for layout in _LAYOUTS:
        matches = {member: match for member in images if (match := layout.images.match(member))}
        for root in sorted({match[1] for match in matches.values()}):
            inside = {member: match for member, match in matches.items() if match[1] == root}
            folders = {member: match.groupdict().get("sign") or "" for member, match in inside.items()}
            yield _Part(layout, archive, root, folders)


def _records(part: _Part, opened: dict[str, Archive], classes: int) -> Iterator[Record]:
    pattern = re.compile(part.layout.lists.format(root=re.escape(part.root)))
    anywhere = "{root}" not in part.layout.lists
    lists = [
        (archive, member)
        for archive in (opened.values() if anywhere else [part.archive])
        for member in sorted(archive.members)
        if pattern.fullmatch(member)
    ]
    if not lists or (anywhere and len(lists) > 1):
        raise WaymarkError(
            f"{part.archive.name}: {part.layout.title} have {len(lists) or 'no'} lists of labels; {part.layout.missing}"
        )
    listed: set[str] = set()
    for archive, member in lists:
        base = part.root if anywhere else member.rpartition("/")[0]
        base = base if not base or base.endswith("/") else base + "/"
        for line, row in _rows(archive, member):
            record = _record(part, base, row, f"{member.rpartition('/')[2]} line {line}", classes)
            if not record.problem and record.member in listed:
                record = replace(record, problem="a row before this one names the same image")
            listed.add(record.member)
            yield record
    for member in sorted(part.images.keys() - listed):
        record = _place(Record(part.archive.name, member, part.layout.split, None, ""), part)
        yield replace(record, problem="no row names this image; expected one in the list of its labels")


def _rows(archive: Archive, member: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row; a short row lacks the cells at its end."""
    try:
        text = archive.read(member).decode("utf-8-sig")
        delimiter = ";" if ";" in text.partition("\n")[0] else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(reader, [])]
        absent = [name for name in ("Filename|Path", *_NUMBERS, "ClassId") if not set(name.split("|")) & set(header)]
        if absent:
            raise ArchiveError(archive.name, member, f"has no column {', '.join(absent)}; expected GTSRB's header")
        for cells in reader:
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=False))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArchiveError(archive.name, member, f"is no list of labels ({error})") from None


def _record(part: _Part, base: str, row: dict[str, str], where: str, classes: int) -> Record:
    """One row as a record; the first thing that is wrong with it becomes its problem."""
    name = row.get("Filename", row.get("Path", "")).strip()
    problem = f"the path {unsafe(name)}" if unsafe(name) else ""
    member = name if problem else base + name
    record = Record(part.archive.name, member, part.layout.split, None, "", row=where)
    if not problem and member not in part.images:
        problem = f"the row's image is not in {part.archive.name}"
    if not problem:
        record = _place(record, part)
        problem = record.problem
    numbers = {column: _whole(row.get(column)) for column in (*_NUMBERS, "ClassId")}
    label = numbers["ClassId"]
    wrong = [column for column, number in numbers.items() if number is None]
    if wrong and not problem:
        problem = f"{wrong[0]} is {shown(repr(row.get(wrong[0], '')))}; expected a whole number"
    directory = part.images.get(member, "")
    if not problem and directory and label is not None and 0 <= label < classes and int(directory) != label:
        problem = f"ClassId is {label} but the image lies in the folder of class {int(directory)}"
    width, height, x1, y1, x2, y2 = (numbers[column] or 0 for column in _NUMBERS)
    measured = not any(column in wrong for column in _NUMBERS)
    return replace(
        record,
        label=label,
        group=record.group or f"{part.layout.split}:{where}",
        roi=(x1, y1, x2, y2) if measured else None,
        declared_size=(width, height) if measured else None,
        problem=problem,
    )


def _place(record: Record, part: _Part) -> Record:
    """Group and frame, as the file's name and folder tell them."""
    directory, stem = part.images[record.member], record.member.rpartition("/")[2].rpartition(".")[0]
    if part.layout.split == "test":
        return replace(record, group="_".join(filter(None, ("test", directory, stem))))
    match = _TRACK.fullmatch(stem)
    if not directory or not match:
        return replace(record, group=f"train:{record.member}", problem="the path tells neither class nor track")
    if match["sign"] and int(match["sign"]) != int(directory):
        wrong = f"named as class {int(match['sign'])} but lies in the folder of class {int(directory)}"
        return replace(record, group=f"{int(directory):05d}_{match['track']}", problem=wrong)
    return replace(record, group=f"{int(directory):05d}_{match['track']}", frame=int(match["frame"]))


def _whole(text: str | None) -> int | None:
    """A number that fits 16 bits, so that the manifest can hold whatever a list says."""
    match = re.fullmatch(r"\s*(-?\d{1,5})\s*", text or "", re.ASCII)
    return int(match[1]) if match and abs(int(match[1])) < 2**15 else None


def _origin(name: str, md5: str) -> Origin:
    return Origin("https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/" + name, name, md5)


GTSRB = TrafficSigns(
    "gtsrb",
    # The MD5 sums are not the organisers' own: those of the test are torchvision's, that of the training images stands
    # alike in half a dozen independent public loaders (torchvision downloads the phase-1 images instead).
    (
        _origin("GTSRB_Final_Training_Images.zip", md5="f33fd80ac59bff73c82d25ab499e03a3"),
        _origin("GTSRB_Final_Test_Images.zip", md5="c7e4e6327067d32654124b0fe9e82185"),
        _origin("GTSRB_Final_Test_GT.zip", md5="fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
    ),
)
