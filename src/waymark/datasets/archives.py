"""Zip, tar and plain folder as one read-only thing: a list of members, and the bytes of each.

Archives come from outside. Whatever could lead out of them, hide a second truth or fill the memory is refused before
the first member is read, and nothing is ever unpacked to disk.
"""

import re
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from waymark.datasets.base import Read
from waymark.errors import WaymarkError, reason

MAX_MEMBER_BYTES = 64 * 2**20  # the largest member of any data set here is a CIFAR-10 batch of 30 MiB
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_ENCRYPTED = 0x1  # general purpose bit 0, APPNOTE.TXT 4.4.4
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    ValueError,
)
_Entry = tuple[str, int, str]  # name, size in bytes, what is wrong with it


class ArchiveError(WaymarkError):
    """An archive, or one member of it, that cannot be read or must not be."""

    def __init__(self, archive: str, member: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{archive}: member {shown(member)}: {reason}" if member else f"{archive}: {reason}")


class Archive(ABC):
    """A named collection of files; `members` maps each path inside it to its size in bytes, in archive order.

    `folders` are those that it lists by themselves, each with a `/` at its end: not every archive does.
    """

    def __init__(self, path: Path, entries: Iterable[_Entry]) -> None:
        self.name = path.name
        listed = self._checked(entries)
        self.members: Mapping[str, int] = {name: size for name, size in listed.items() if not name.endswith("/")}
        self.folders: Sequence[str] = [name for name in listed if name.endswith("/")]

    def read(self, member: str) -> bytes:
        """The member's bytes, whole; ArchiveError where it is absent, cut short or fails its checksum."""
        if member not in self.members:
            raise ArchiveError(self.name, member, "not in the archive")
        try:
            data = self._read(member)
        except _DAMAGE as error:
            raise ArchiveError(self.name, member, f"cannot be read ({shown(reason(error))})") from None
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
        """The size of each entry by its name, a folder's with a `/` at its end."""
        listed: dict[str, int] = {}
        for name, size, fault in entries:
            reason = fault or unsafe(name)
            if not reason and name in listed and not name.endswith("/"):
                reason = "stands in the archive twice; make the archive again with each name once"
            if not reason and size > MAX_MEMBER_BYTES:
                reason = f"has {size:,} bytes; at most {MAX_MEMBER_BYTES:,} are accepted"
            if reason:
                raise ArchiveError(self.name, name, reason)
            listed[name] = size
        return listed


class _Zip(Archive):
    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        self._infos = {self._name(info): info for info in self._file.infolist()}
        super().__init__(path, ((self._name(i), i.file_size, self._fault(i)) for i in self._file.infolist()))

    @staticmethod
    def _name(info: zipfile.ZipInfo) -> str:
        # zipfile cuts a name at its NUL; what stood behind must be seen to be refused.
        return info.orig_filename if "\0" in info.orig_filename else info.filename

    @staticmethod
    def _fault(info: zipfile.ZipInfo) -> str:
        if info.flag_bits & _ENCRYPTED:
            return "is encrypted; archives must be readable without a password"
        if info.compress_type not in _METHODS:
            return f"is compressed by method {info.compress_type}; make the archive again with deflate"
        return "is a symbolic link" if stat.S_ISLNK(info.external_attr >> 16) else ""

    def _read(self, member: str) -> bytes:
        # A size given to `read` also bounds what zlib unfolds, whatever the member's own stream holds.
        with self._file.open(self._infos[member]) as file:
            return file.read(self.members[member])

    def close(self) -> None:
        self._file.close()


class _TarHeader(tarfile.TarInfo):
    """A header that refuses a name or attributes of more than a megabyte, which tarfile would read into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type not in tarfile.REGULAR_TYPES and header.size > 2**20 and not header.isdir():
            raise tarfile.ReadError(f"{header.size:,} bytes of attributes to one member")
        return header


class _Tar(Archive):
    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            mode: Literal["r:gz", "r:"] = "r:gz" if file.read(2) == b"\x1f\x8b" else "r:"
        self._file = tarfile.open(path, mode, tarinfo=_TarHeader)  # noqa: SIM115 (closed by close)
        self._infos = {info.name: info for info in self._file}
        self._check_end()
        super().__init__(path, (self._entry(info) for info in self._file.getmembers()))

    def _check_end(self) -> None:
        """tarfile takes a damaged header for the end; the true end is a block of zeros, then gzip's own checksum."""
        assert self._file.fileobj
        self._file.fileobj.seek(self._file.offset)
        if self._file.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it is cut short or damaged")
        while self._file.fileobj.read(2**20):
            pass

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
        if path.is_dir():
            return name + "/", 0, ""
        return name, path.stat().st_size, "" if path.is_file() else "is neither a file nor a folder"

    def _read(self, member: str) -> bytes:
        return (self._path / member).read_bytes()

    def close(self) -> None:
        """A folder holds nothing open."""


def open_archive(path: Path) -> Archive:
    """Open a zip, tar(.gz) or folder and check every entry's name, kind and size before any is read."""
    try:
        if path.is_dir():
            return _Folder(path)
        return _Tar(path) if path.name.lower().endswith(SUFFIXES[1:]) else _Zip(path)
    except _DAMAGE as error:
        raise ArchiveError(
            path.name, "", f"not a readable archive ({shown(reason(error))}); collect it again"
        ) from None


@contextmanager
def open_all(folder: Path) -> Iterator[dict[str, Archive]]:
    """Every archive and sub-folder of `folder`, by file name, in the order of the names."""
    try:
        entries = sorted(path for path in folder.iterdir() if path.is_dir() or path.name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise WaymarkError(f"{folder}: cannot be read ({error.strerror}); run the stage collect first") from None
    with ExitStack() as stack:
        yield {path.name: stack.enter_context(open_archive(path)) for path in entries}


@contextmanager
def open_reader(folder: Path) -> Iterator[Read]:
    """A reader of members' bytes; ArchiveError names archive and member where there is nothing sound to read."""
    with open_all(folder) as opened:

        def read(archive: str, member: str) -> bytes:
            if archive not in opened:
                raise ArchiveError(archive, member, f"there is no such archive in {folder}")
            return opened[archive].read(member)

        yield read


def unsafe(name: str) -> str:
    """Why a path inside an archive must not be followed; empty where it may."""
    if "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name):
        return "has a Windows path or a NUL in its name; paths inside an archive use / only"
    if name.startswith("/"):
        return "is absolute; paths inside an archive are relative"
    if ".." in name.split("/"):
        return "leads out of the archive (..)"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is no UTF-8; make the archive again with names in UTF-8"
    return "" if name.strip() else "has no name"


def shown(name: str) -> str:
    """A member's name fit for a one-line sentence: control characters escaped, at most 120 characters."""
    printable = name if name.isprintable() else repr(name)[1:-1]
    return printable if len(printable) <= 120 else printable[:119] + "…"
