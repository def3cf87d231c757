"""The American Sign Language alphabet of Kaggle's grassknoted/asl-alphabet: one signer, a video of each letter.

`asl_alphabet_train/…/<class>/<class><n>.jpg` are neighbouring frames, `asl_alphabet_test/…/<class>_test.jpg` one more
frame of each video. Class folders outside these two are another signer's, such as danrasband/asl-alphabet-test
(`<class>/<class>0001_test.jpg`), and show what the first signer's own frames cannot: how the model fares elsewhere.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from waymark.datasets.archives import Archive, open_all, open_reader, shown
from waymark.datasets.base import Grouping, Origin, Read, Record
from waymark.errors import WaymarkError

CLASS_NAMES = (*ascii_uppercase, "del", "nothing", "space")
BLOCK = 50  # frames a group: longer than neighbours look alike, short enough for 60 groups a class
_IMAGES = (".jpg", ".jpeg", ".png")
_TRAIN, _TEST = "asl_alphabet_train", "asl_alphabet_test"
_NUMBERED = re.compile(r"(?P<name>.*?)(?P<number>\d{1,6})(?:_test)?", re.ASCII | re.DOTALL)
_LABELS = {name: label for label, name in enumerate(CLASS_NAMES)}


@dataclass(frozen=True)
class Alphabet:
    """A data set in the layout of Kaggle's ASL alphabet."""

    name: str
    origins: tuple[Origin, ...]
    grouping: Grouping = "frames"
    own_test: bool = False  # the 28 own test images are frames of the training videos

    def class_names(self, folder: Path) -> tuple[str, ...]:
        return CLASS_NAMES

    def index(self, folder: Path) -> Iterator[Record]:
        """The training frames, then the same signer's test images, then another's; see `Dataset.index`."""
        with open_all(folder) as opened:
            images = [(archive.name, member) for archive in opened.values() for member in _images(archive)]
            training = [(archive, member) for archive, member in images if _root(member)]
            roots = sorted({(archive, _root(member)) for archive, member in training})
            if not roots:
                raise WaymarkError(
                    f"{folder}: no ASL training images in {', '.join(opened) or 'it (no archive)'}; expected Kaggle's"
                    f" asl-alphabet with {_TRAIN}/<class>/<class><n>.jpg"
                )
            if len(roots) > 1:
                places = " and ".join(shown(f"{archive}/{root}") for archive, root in roots[:2])
                raise WaymarkError(f"{folder}: {places} both hold ASL training images; keep one of them")
            rest = [image for image in images if not _root(image[1])]
            yield from (_training(*image) for image in training)
            yield from (_own_test(*image) for image in rest if _folder(image[1]) == _TEST)
            yield from (_other_signer(*image) for image in rest if _folder(image[1]) != _TEST)

    def open(self, folder: Path) -> AbstractContextManager[Read]:
        """See `Dataset.open`."""
        return open_reader(folder)


def _images(archive: Archive) -> list[str]:
    """The images of an archive, without the resource forks that a Mac adds to a zip."""
    return [
        member
        for member in archive.members
        if member.lower().endswith(_IMAGES) and not member.rpartition("/")[2].startswith("._")
    ]


def _root(member: str) -> str:
    """The path down to the folder of the training classes; empty for other images."""
    folders = member.split("/")[:-1]
    if _TRAIN not in folders:
        return ""
    return "/".join(folders[: len(folders) - folders[::-1].index(_TRAIN)])


def _folder(member: str) -> str:
    return ("/" + member).split("/")[-2]


def _stem(member: str) -> str:
    return member.rpartition("/")[2].rpartition(".")[0]


def _training(archive: str, member: str) -> Record:
    name, frame, problem = _read_name(member)
    group = f"{name}_{(frame - 1) // BLOCK:04d}" if not problem else f"{archive}/{member}"
    label = _LABELS.get(name)
    return Record(archive, member, "train", label, group, frame, problem=problem, part="same_signer")


def _own_test(archive: str, member: str) -> Record:
    name, group = _stem(member).removesuffix("_test"), f"{archive}/{member}"
    problem = "" if name in _LABELS else f"named {shown(_stem(member))}; expected <class>_test"
    return Record(archive, member, "test", _LABELS.get(name), group, problem=problem, part="same_signer")


def _other_signer(archive: str, member: str) -> Record:
    name, _, problem = _read_name(member)  # the number counts pictures here, not frames
    group = f"{archive}/{member}"
    return Record(archive, member, "test", _LABELS.get(name), group, problem=problem, part="other_signer")


def _read_name(member: str) -> tuple[str, int, str]:
    """Class folder, number and what is wrong, as the path `<class>/<class><n>.jpg` tells them."""
    folder, stem = _folder(member), _stem(member)
    if folder not in _LABELS:
        place = f"the folder {shown(folder)}" if folder else "no folder"
        return folder, 0, f"lies in {place}; expected a folder A to Z, del, nothing or space"
    match = _NUMBERED.fullmatch(stem)
    if not match:
        return folder, 0, f"named {shown(stem)}; expected {folder}<n>"
    if match["name"] != folder:
        return folder, 0, f"named {shown(stem)} but lies in the folder {folder}"
    return folder, int(match["number"]), ""


ASL = Alphabet(
    "asl",
    (
        Origin("kaggle://grassknoted/asl-alphabet", "asl-alphabet.zip"),
        Origin("kaggle://danrasband/asl-alphabet-test", "asl-alphabet-test.zip"),
    ),
)
