"""Zip, tar and plain folder as one read-only thing: a list of members, and the bytes of each.

Archives come from outside. Whatever could lead out of them, hide a second truth or fill the memory is refused before
the first member is read, and nothing is ever unpacked to disk.
"""

import re
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from waymark.errors import WaymarkError

MAX_MEMBER_BYTES = 64 * 2**20  # the largest member of any data set here is a CIFAR-10 batch of 30 MiB
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_ENCRYPTED = 0x1  # general purpose bit 0, APPNOTE.TXT 4.4.4
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, ValueError)
_Entry = tuple[str, int, str]  # name, size in bytes, what is wrong with it


class ArchiveError(WaymarkError):
    """An archive, or one member of it, that cannot be read or must not be."""

    def __init__(self, archive: str, member: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{archive}: member {shown(member)}: {reason}" if member else f"{archive}: {reason}")


class Archive(ABC):
    """A named collection of files; `members` maps each path inside it to its size in bytes, in archive order."""

    def __init__(self, path: Path, entries: Iterable[_Entry]) -> None:
        self.name = path.name
        self.members: Mapping[str, int] = self._checked(entries)

    def read(self, member: str) -> bytes:
        """The member's bytes, whole; ArchiveError where it is absent, cut short or fails its checksum."""
        if member not in self.members:
            raise ArchiveError(self.name, member, "not in the archive")
        try:
            data = self._read(member)
        except _DAMAGE as error:
            raise ArchiveError(self.name, member, f"cannot be read ({error})") from None
        if len(data) != self.members[member]:
            raise ArchiveError(self.name, member, f"has {len(data)} of its {self.members[member]} bytes")
        return data

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _read(self, member: str) -> bytes: ...

    def _checked(self, entries: Iterable[_Entry]) -> dict[str, int]:
        members: dict[str, int] = {}
        for name, size, fault in entries:
            reason = fault or unsafe(name)
            if not reason and name in members:
                reason = "stands in the archive twice; make the archive again with each name once"
            if not reason and size > MAX_MEMBER_BYTES:
                reason = f"has {size:,} bytes; at most {MAX_MEMBER_BYTES:,} are accepted"
            if reason:
                raise ArchiveError(self.name, name, reason)
            if not name.endswith("/"):
                members[name] = size
        return members


class _Zip(Archive):
    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        super().__init__(path, ((i.orig_filename, i.file_size, self._fault(i)) for i in self._file.infolist()))

    @staticmethod
    def _fault(info: zipfile.ZipInfo) -> str:
        if info.flag_bits & _ENCRYPTED:
            return "is encrypted; archives must be readable without a password"
        return "is a symbolic link" if stat.S_ISLNK(info.external_attr >> 16) else ""

    def _read(self, member: str) -> bytes:
        return self._file.read(member)

    def close(self) -> None:
        self._file.close()


class _Tar(Archive):
    def __init__(self, path: Path) -> None:
        self._file = tarfile.open(path)  # noqa: SIM115 (closed by close)
        self._infos = {info.name: info for info in self._file}
        super().__init__(path, (self._entry(info) for info in self._file.getmembers()))

    @staticmethod
    def _entry(info: tarfile.TarInfo) -> _Entry:
        if info.isdir():
            return info.name.rstrip("/") + "/", 0, ""
        return info.name, info.size, "" if info.isreg() else "is neither a file nor a folder (a link or a device)"

    def _read(self, member: str) -> bytes:
        file = self._file.extractfile(self._infos[member])
        return file.read() if file else b""

    def close(self) -> None:
        self._file.close()


class _Folder(Archive):
    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(path, map(self._entry, sorted(path.rglob("*"))))

    def _entry(self, path: Path) -> _Entry:
        name = path.relative_to(self._path).as_posix()
        if path.is_symlink():
            return name, 0, "is a symbolic link"
        return (name + "/", 0, "") if path.is_dir() else (name, path.stat().st_size, "")

    def _read(self, member: str) -> bytes:
        return (self._path / member).read_bytes()

    def close(self) -> None:
        """A folder holds nothing open."""


def open_archive(path: Path) -> Archive:
    """Open a zip, tar(.gz) or folder and check every entry's name, kind and size before any is read."""
    if path.is_dir():
        return _Folder(path)
    try:
        return _Tar(path) if path.name.lower().endswith(SUFFIXES[1:]) else _Zip(path)
    except _DAMAGE as error:
        raise ArchiveError(path.name, "", f"not a readable archive ({error}); collect it again") from None


@contextmanager
def open_all(folder: Path) -> Iterator[dict[str, Archive]]:
    """Every archive and sub-folder of `folder`, by file name, in the order of the names."""
    try:
        entries = sorted(path for path in folder.iterdir() if path.is_dir() or path.name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise WaymarkError(f"{folder}: cannot be read ({error.strerror}); run the stage collect first") from None
    with ExitStack() as stack:
        yield {path.name: stack.enter_context(open_archive(path)) for path in entries}


def unsafe(name: str) -> str:
    """Why a path inside an archive must not be followed; empty where it may."""
    if "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        return "has a Windows path or a NUL in its name; paths inside an archive use / only"
    if name.startswith("/"):
        return "is absolute; paths inside an archive are relative"
    if ".." in name.split("/"):
        return "leads out of the archive (..)"
    return "" if name.strip() else "has no name"


def shown(name: str) -> str:
    """A member's name fit for a one-line sentence: control characters escaped, at most 120 characters."""
    printable = name if name.isprintable() else repr(name)[1:-1]
    return printable if len(printable) <= 120 else printable[:119] + "…"
