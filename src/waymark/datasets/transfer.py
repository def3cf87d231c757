"""Archives from elsewhere: streamed, resumed where they stopped, checked, and only then given their name."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import aiohttp
from botocore.exceptions import NoCredentialsError
from tqdm import tqdm

from waymark.datasets import checksums
from waymark.datasets.addresses import FAULTS, UnreachableError, filesystem, reason, shown
from waymark.datasets.base import Origin
from waymark.errors import WaymarkError

logger = logging.getLogger(__name__)

CHUNK = 4 * 2**20  # bytes a read: what a dropped S3 connection costs at most
ATTEMPTS = 4  # reads in a row that bring nothing new before a transfer is given up
PAUSE = 0.3  # seconds before the second attempt; doubles with each


@dataclass(frozen=True)
class Fetched:
    """What an archive holds; of one that was fetched, all verified."""

    bytes: int
    sha256: str
    md5: str


@dataclass(frozen=True)
class Version:
    """What tells two contents of one address apart before they are read."""

    size: int | None  # bytes; None where the far end does not say
    tag: str  # ETag, or the time of the last change; empty where neither is given


def measure(path: Path) -> Fetched:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return Fetched(path.stat().st_size, sha256, md5)


def fetch(url: str, target: Path, *, partial: Path, md5: str = "", sha256: str = "") -> Fetched:
    """Bring one object to `target`, which appears whole or not at all.

    `partial` is a folder that outlives a broken transfer: what has arrived waits there, and the next call goes on
    from it where the far end still has the same size and ETag and takes ranges. `md5` and `sha256` (hex) are checked
    where given; where neither is, the SHA-256 that stands beside the object, if one does. Raises UnreachableError
    where nothing can be had, WaymarkError where the transfer breaks off or the content is not the expected one.
    """
    part, fetched = _bring(url, target.name, partial, md5, sha256)
    part.release(target)
    return fetched


def fetch_all(origins: Sequence[Origin], folder: Path, *, partial: Path) -> list[Fetched]:
    """Bring every origin to `folder`, under its name, once the last one is whole; as `fetch` otherwise.

    Until then the finished ones wait in `partial`, so that a later one's fault costs no second transfer.
    """
    arrived = [_bring(origin.url, origin.name, partial, origin.md5, origin.sha256) for origin in origins]
    for origin, (part, _) in zip(origins, arrived, strict=True):
        part.release(folder / origin.name)
    return [fetched for _, fetched in arrived]


def _bring(url: str, name: str, partial: Path, md5: str = "", sha256: str = "") -> tuple["_Part", Fetched]:
    system = filesystem(url)
    version = look_up(system, url)
    if not (md5 or sha256):
        sha256 = checksums.beside(system, url)
    waiting = partial / f"{name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"
    with _Part(waiting, version) as part:
        _fill(part, system, url)
    if version.size is not None and part.position != version.size:
        part.discard()
        raise WaymarkError(f"{shown(url)}: {part.position:,} bytes arrived, {version.size:,} were announced; run again")
    fetched = Fetched(part.position, part.sha256.hexdigest(), part.md5.hexdigest())
    for algorithm, expected in (("md5", md5.lower()), ("sha256", sha256.lower())):
        if expected and expected != (found := getattr(fetched, algorithm)):
            part.discard()
            raise WaymarkError(
                f"{shown(url)}: {algorithm} is {found}, expected {expected}; the file is damaged or not the one meant, "
                "nothing of it was kept"
            )
    return part, fetched


def look_up(system: Any, url: str) -> Version:
    """What the far end says of `url`. Raises UnreachableError where it says nothing, or holds no file there."""
    try:
        info = system.info(url)
    except FAULTS as error:
        raise UnreachableError(url, reason(error, url)) from error
    except ValueError as error:  # aiohttp and yarl on an address that is none
        raise UnreachableError(url, "is no valid address") from error
    if info.get("type") == "directory":
        raise UnreachableError(url, "is a folder, expected one file")
    if info.get("mimetype") == "text/html":
        raise UnreachableError(url, "answers with a web page, expected a file; it may ask for a login in a browser")
    tag = info.get("ETag") or info.get("Last-Modified") or info.get("mtime") or ""
    return Version(info.get("size"), str(tag))


class _Part:
    """A half-finished file that knows which content it is a part of, and the checksums of what it holds."""

    def __init__(self, path: Path, version: Version) -> None:
        self.path = path
        self.sidecar = path.with_suffix(".json")
        self.version = version
        self.position = 0  # bytes held
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha256 = hashlib.sha256()
        self._file: BinaryIO

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._belongs():
            self.discard()
            self.sidecar.write_text(json.dumps(asdict(self.version)), encoding="utf-8")
        self._file = self.path.open("a+b")
        self._file.seek(0)
        while data := self._file.read(CHUNK):
            self._count(data)
        if self.position:
            logger.info("%s: going on after %s bytes", self.path.with_suffix("").stem, f"{self.position:,}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk, met again: `write` has told it
            if error is None:
                raise

    def _belongs(self) -> bool:
        try:
            recorded = json.loads(self.sidecar.read_text(encoding="utf-8"))
            held = self.path.stat().st_size
        except (OSError, ValueError):
            return False
        return bool(recorded == asdict(self.version) and (self.version.size is None or held <= self.version.size))

    def _count(self, data: bytes) -> None:
        self.position += len(data)
        self.md5.update(data)
        self.sha256.update(data)

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise WaymarkError(f"{self.path}: cannot be written ({error.strerror}); free space, run again") from None
        self._count(data)

    def rewind(self) -> None:
        """Forget what is held: the far end starts from the first byte."""
        self._file.truncate(0)
        self.position = 0
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha256 = hashlib.sha256()

    def release(self, target: Path) -> None:
        """Give the finished file its name."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.rename(target)
        self.sidecar.unlink()

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


def _fill(part: _Part, system: Any, url: str) -> None:
    """Read `url` into `part` to its end, taking a dropped connection up again while each attempt gets further."""
    size, furthest, failures = part.version.size, part.position, 0
    with tqdm(total=size, unit="B", unit_scale=True, desc=shown(url).rpartition("/")[2], delay=2, disable=None) as bar:
        while part.position != size:
            try:
                for data in _read(part, system, url):
                    part.write(data)
                    bar.update(part.position - bar.n)
                return
            except FAULTS as error:
                # Where the far end takes no ranges, each attempt starts over: only getting further counts.
                failures = 0 if part.position > furthest else failures + 1
                furthest = max(furthest, part.position)
                if failures >= ATTEMPTS - 1 or _is_final(error):
                    of = "" if size is None else f" of {size:,}"
                    raise WaymarkError(
                        f"{shown(url)}: {reason(error, url)} after {part.position:,}{of} bytes; "
                        "run again, it goes on from there if the server allows"
                    ) from error
                time.sleep(PAUSE * 2**failures)


def _read(part: _Part, system: Any, url: str) -> Iterator[bytes]:
    """The bytes of `url` that `part` lacks; all of them, after a rewind, where the far end takes no ranges."""
    if "http" in system.protocol:
        headers = {"Range": f"bytes={part.position}-"} if part.position else {}
        with system.open(url, block_size=0, size=part.version.size, headers=headers) as stream:
            if part.position and not stream.r.headers.get("Content-Range", "").startswith(f"bytes {part.position}-"):
                part.rewind()
            while data := stream.read(CHUNK):
                yield data
    else:
        with system.open(url, "rb", cache_type="none") as stream:
            stream.seek(part.position)
            while data := stream.read(CHUNK):
                yield data


def _is_final(error: BaseException) -> bool:
    """Whether trying again is no use: the far end answered, and the answer is no."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status < 500 and error.status not in (408, 429)
    return isinstance(error, FileNotFoundError | PermissionError | NoCredentialsError)
