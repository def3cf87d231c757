"""What every data set offers: class names, an index of its archives, and the bytes behind each entry."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Split = Literal["train", "val", "test"]
Grouping = Literal[
    "tracks",  # images of one group show one thing, such as the frames of one traffic sign
    "frames",  # the images of a class are frames of one video, numbered by `frame`; neighbours are near copies
    "images",  # each image stands for itself
]
Read = Callable[[str, str], bytes]  # (archive, member) -> the image's bytes


@dataclass(frozen=True)
class Origin:
    """One object to collect, and what its publisher says of it."""

    url: str
    name: str  # file name under data/raw/<dataset>/
    md5: str = ""  # as published; empty where nothing is
    sha256: str = ""  # as recorded beside the object; empty where nothing is


@dataclass(frozen=True)
class Record:
    """One image as an archive lists it, before a byte of it is decoded.

    An entry that is wrong in itself (a label that is no number, an image without a row, a path that leads out of the
    archive) is still a record: `problem` says in a few words what is wrong, and `validate` stops the graph with it.
    """

    archive: str  # file name under data/raw/<dataset>/
    member: str  # path inside the archive
    split: Split
    label: int | None
    group: str  # images of one group never straddle a split: a GTSRB track, one test image
    frame: int = 0  # position within the group
    roi: tuple[int, int, int, int] | None = None  # x1, y1, x2, y2 in pixels, the last column and row included
    declared_size: tuple[int, int] | None = None  # width, height, where the data set states them
    row: str = ""  # where the entry stands, "GT-00012.csv line 7"; empty where there is no list
    problem: str = ""
    part: str = ""  # which test it belongs to, where a data set has several: same_signer, other_signer


class Dataset(Protocol):
    """A data set's archives, read in place."""

    @property
    def name(self) -> str: ...

    @property
    def grouping(self) -> Grouping: ...

    @property
    def own_test(self) -> bool:
        """Whether the archives' own test part is the test; where not, or without one, `prepare` splits a test off."""
        ...

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where `source: auto` gets it; empty for a data set that is made, not fetched."""
        ...

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The classes, index = label; only a data set without names of its own looks into the archives in `folder`."""
        ...

    def index(self, folder: Path) -> Iterator[Record]:
        """Every image that the archives in `folder` list, in a fixed order; a data set's own part before others.

        Raises WaymarkError where the archives cannot be read as this data set at all.
        """
        ...

    def open(self, folder: Path) -> AbstractContextManager[Read]:
        """A reader of image bytes; archives are opened once and nothing is unpacked to disk."""
        ...
