"""Any archive of class folders: `<class>/<image>` or `<split>/<class>/<image>`, as torchvision's ImageFolder reads.

The class is the folder that an image lies in. Above it there may be folders that all images share, and one that names
a split; an archive may be named by a split, too (train.zip, test.zip).
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from waymark.datasets.archives import Archive, ArchiveError, open_all, open_reader, shown
from waymark.datasets.base import Grouping, Origin, Read, Record, Split
from waymark.errors import WaymarkError

MAX_CLASSES = 2**15 - 1  # labels have 16 bits in the manifest
# What contract.decode reads, so that an image of another kind is named and does not just go missing.
_IMAGES = (".png", ".jpg", ".jpeg", ".jfif", ".ppm", ".pgm", ".pbm", ".bmp", ".webp", ".gif", ".tif", ".tiff")
# What people and Windows (Thumbs.db, desktop.ini) leave beside images.
_COMPANIONS = (".txt", ".csv", ".tsv", ".json", ".md", ".xml", ".yaml", ".yml", ".html", ".pdf", ".db", ".ini")
_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class ClassFolders:
    """A data set whose classes are folders."""

    name: str
    # Searched in each member's path: what its first group matches stays in one split, whatever the class. That it
    # compiles and has a group is checked with the other parameters.
    group_pattern: str = ""
    origins: tuple[Origin, ...] = ()
    own_test: bool = True

    @property
    def grouping(self) -> Grouping:
        return "tracks" if self.group_pattern else "images"

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The names of the class folders of every split, sorted by code point as ImageFolder sorts them."""
        with open_all(folder) as opened:
            return _classes(_images(opened), folder)

    def index(self, folder: Path) -> Iterator[Record]:
        """Every image, in the order of the archives and of their members; see `Dataset.index`."""
        pattern = re.compile(self.group_pattern) if self.group_pattern else None
        with open_all(folder) as opened:
            images = _images(opened)
        labels = {name: label for label, name in enumerate(_classes(images, folder))}
        if not any(image.split == "train" and image.class_name is not None for image in images):
            raise WaymarkError(f"{folder}: no training images; expected <class>/<image> or train/<class>/<image>")
        frames: Counter[str] = Counter()
        for image in images:
            group, problem = f"{image.archive}/{image.member}", image.problem
            if pattern and not problem:
                match = pattern.search(image.member)
                if match and match[1]:
                    group = match[1]
                else:
                    problem = f"group_pattern {shown(self.group_pattern)} finds no group in the path"
            label = None if image.class_name is None else labels[image.class_name]
            yield Record(image.archive, image.member, image.split, label, group, frames[group], problem=problem)
            frames[group] += 1

    def open(self, folder: Path) -> AbstractContextManager[Read]:
        """See `Dataset.open`."""
        return open_reader(folder)


@dataclass(frozen=True)
class _Image:
    archive: str
    member: str
    split: Split
    class_name: str | None  # None: lies in no class folder
    problem: str


@dataclass(frozen=True)
class _Place:
    """What the folders above an image say."""

    root: str  # the folders that are neither split nor class
    split: str  # as spelled; empty where none names one
    class_name: str


def _images(opened: dict[str, Archive]) -> list[_Image]:
    return [image for archive in opened.values() for image in _images_of(archive)]


def _images_of(archive: Archive) -> Iterator[_Image]:
    """The images of one archive, and what stands in a class folder in the place of one.

    An image that lies deeper or less deep than most lies in no class folder.
    """
    faults = {member: _fault(member) for member in archive.members if _may_be_image(member)}
    images = [member for member, fault in faults.items() if not fault] or list(faults)
    if not images:
        return
    depths = Counter(member.count("/") for member in images)
    depth = max(depths, key=lambda depth: (depths[depth], depth))
    faults |= dict.fromkeys(_empty_folders(archive, depth), "is an empty folder; put images into it or remove it")
    places = {member: _place(member) for member in faults if depth and member.count("/") == depth}
    of_images = {member: places[member] for member in images if member in places}
    if all(place.class_name.lower() in _SPLITS and not place.split for place in of_images.values()):
        places = of_images = {}  # train/1.png: the split has no class folders below it
    _check_roots(archive, of_images)
    has_splits = any(place.split for place in of_images.values())
    by_name = "" if has_splits else _split_word(archive.name)
    for member, fault in faults.items():
        place = places.get(member, _Place("", "", ""))
        split = _SPLITS[(place.split or by_name or "train").lower()]
        class_name: str | None = place.class_name
        problem = fault
        if member not in places:
            if fault:  # no image, in no class folder: nothing that is missed
                continue
            class_name, problem = None, "lies in no class folder; expected <class>/<image> at the depth of the others"
        elif has_splits and not place.split:
            class_name = None
            problem = fault or "lies in no folder of a split (train, val or test), unlike others"
        yield _Image(archive.name, member, split, class_name, problem)


def _is_visible(member: str) -> bool:
    """Whether it is none of the shadows that systems leave beside images."""
    parts = member.split("/")
    hidden = any(part.startswith(".") and part != "." for part in parts)  # `tar c .` writes ./cat/1.png
    return parts[0] != "__MACOSX" and not hidden


def _may_be_image(member: str) -> bool:
    return _is_visible(member) and not member.lower().endswith(_COMPANIONS)


def _fault(member: str) -> str:
    suffix = PurePosixPath(member).suffix
    if suffix.lower() in _IMAGES:
        return ""
    return f"is no image of a known kind ({shown(suffix) or 'no suffix'}); known are {', '.join(_IMAGES)}"


def _empty_folders(archive: Archive, depth: int) -> list[str]:
    """Where the class folders are, those with nothing to be seen in them."""
    filled = {"/".join(member.split("/")[:depth]) + "/" for member in archive.members if _is_visible(member)}
    return [name for name in archive.folders if name.count("/") == depth and _is_visible(name) and name not in filled]


def _place(member: str) -> _Place:
    *above, class_name, _ = member.split("/")
    for position in reversed(range(len(above))):
        if above[position].lower() in _SPLITS:
            return _Place("/".join(above[:position] + above[position + 1 :]), above[position], class_name)
    return _Place("/".join(above), "", class_name)


def _check_roots(archive: Archive, places: dict[str, _Place]) -> None:
    has_splits = any(place.split for place in places.values())
    roots: dict[str, str] = {}
    for member, place in places.items():
        if place.split or not has_splits:
            roots.setdefault(place.root, member)
    if len(roots) > 1:
        first, second = list(roots.values())[:2]
        raise ArchiveError(
            archive.name,
            second,
            f"lies under another folder than {shown(first)}, so it is unclear which folders are the classes; expected"
            " <class>/<image> or <split>/<class>/<image> below one folder",
        )


def _split_word(archive: str) -> str:
    """The split that an archive is named by, as train.zip is; empty where by none."""
    word = archive.partition(".")[0].lower()
    return word if word in _SPLITS else ""


def _classes(images: list[_Image], folder: Path) -> tuple[str, ...]:
    names = sorted({image.class_name for image in images if image.class_name is not None})
    if len(names) < 2:
        found = f"only the class folder {shown(names[0])}" if names else "no class folders"
        raise WaymarkError(
            f"{folder}: {found}; expected two or more of them, as <class>/<image> or <split>/<class>/<image>"
        )
    if len(names) > MAX_CLASSES:
        raise WaymarkError(f"{folder}: {len(names):,} class folders; at most {MAX_CLASSES:,} are read")
    return tuple(names)


FOLDER = ClassFolders("folder")
