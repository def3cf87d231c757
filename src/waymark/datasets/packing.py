"""A folder of class folders as one zip that is the same, byte for byte, wherever and whenever it is packed."""

import logging
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from waymark.errors import WaymarkError

logger = logging.getLogger(__name__)

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold: a file's own time is not its content
MODE = stat.S_IFREG | 0o644


def has_classes(folder: Path) -> bool:
    """Whether a folder directly under `folder` holds something."""
    return any(entry.is_dir() and any(entry.iterdir()) for entry in _visible(folder))


def pack(folder: Path, target: Path) -> None:
    """Write every file under `folder` to the zip `target`, uncompressed, sorted by name; hidden ones are left out.

    Raises WaymarkError on a symbolic link and on whatever else is neither file nor folder.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
            member = entry(_name(path, folder))
            member.file_size = path.stat().st_size  # tells zipfile whether the entry needs 64 bits
            with path.open("rb") as source, archive.open(member, "w") as written:
                shutil.copyfileobj(source, written, 2**20)


def entry(name: str) -> zipfile.ZipInfo:
    """A stored member whose header tells nothing of the clock, the system or the zlib that wrote it."""
    member = zipfile.ZipInfo(name, DATE)
    member.create_system = 3  # Unix, on every system
    member.external_attr = MODE << 16
    return member


def _visible(folder: Path) -> Iterator[Path]:
    """What `folder` holds, but for .DS_Store, .git and the like, which differ from machine to machine."""
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    for entry in _visible(folder):
        if entry.is_symlink():
            raise WaymarkError(
                f"source: {entry} is a symbolic link; expected files and folders, put a copy in its place"
            )
        if entry.is_dir():
            if not any(_visible(entry)):
                logger.warning("%s: empty, left out", entry)
            yield from _files(entry)
        elif entry.is_file():
            yield entry
        else:
            raise WaymarkError(f"source: {entry} is neither file nor folder; remove it")


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise WaymarkError(f"source: {name!a} in {folder}: the name is not valid UTF-8; rename it") from None
    return name
