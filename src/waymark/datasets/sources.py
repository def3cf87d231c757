"""What `source` in params.yaml names, and whether what came from there is an archive at all."""

import gzip
import tarfile
import zipfile
import zlib
from operator import attrgetter
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from waymark.datasets import addresses, kaggle, packing
from waymark.datasets.base import Origin
from waymark.errors import WaymarkError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


def find(source: str, *, classes: bool = False) -> list[Origin]:
    """The archives that `source` names, in the order of their names.

    `source` is a local archive or a folder of them, an http(s):// file, an s3:// object, an s3:// prefix that ends in
    `/`, or a data set on kaggle://. With `classes` it may also be a local folder of class folders, which is one origin
    whose url is that folder. Raises WaymarkError where there is none.
    """
    if "://" not in source:
        return _find_local(Path(source).expanduser(), classes)
    if source.startswith(kaggle.SCHEME):
        return [Origin(source, kaggle.parse(source).archive)]
    if page := kaggle.PAGE.match(source):
        raise WaymarkError(f"source: {addresses.shown(source)} is a web page; use {kaggle.SCHEME}{page['handle']}")
    bucket, _, key = source.removeprefix("s3://").partition("/")
    if source.startswith("s3://") and (not key or key.endswith("/")):
        try:
            keys = addresses.filesystem(source).find(f"{bucket}/{key}")
        except addresses.FAULTS as error:
            raise addresses.UnreachableError(source, addresses.reason(error, source)) from error
        origins = [Origin(f"s3://{key}", PurePosixPath(key).name) for key in keys if _named_as_archive(key)]
    else:
        path = key if source.startswith("s3://") else unquote(urlsplit(source).path)
        origins = [Origin(source, PurePosixPath(path).name or "archive")]
    if not origins:
        raise WaymarkError(f"source: no archive under {addresses.shown(source)}; expected {', '.join(SUFFIXES)}")
    return sorted(origins, key=attrgetter("name"))


def _find_local(path: Path, classes: bool) -> list[Origin]:
    if not path.exists():
        raise WaymarkError(
            f"source: {path} does not exist; expected auto, a local archive or folder, https://…, s3://… or kaggle://…"
        )
    if path.is_file():
        return [Origin(str(path), path.name)]
    archives = sorted(member for member in path.iterdir() if member.is_file() and _named_as_archive(member.name))
    if not archives and classes and packing.has_classes(path):
        return [Origin(str(path), f"{path.resolve().name}.zip")]
    if not archives:
        wanted = ", ".join(SUFFIXES) + (" or class folders with images" if classes else "")
        raise WaymarkError(f"source: no archive in folder {path}; expected {wanted}")
    return [Origin(str(archive), archive.name) for archive in archives]


def _named_as_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def accept(path: Path) -> Path:
    """`path`, if it holds what its name says; with the right suffix added where an address gave it none."""
    kind = _kind(path)
    if not kind:
        with path.open("rb") as file:
            begins = "a web page" if file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html")) else "neither"
        raise WaymarkError(f"{path.name}: expected a whole zip or tar archive, this is {begins}; get the file anew")
    if not _named_as_archive(path.name):
        return path.rename(path.with_name(path.name + kind))
    if path.name.lower().endswith(".zip") != (kind == ".zip"):
        raise WaymarkError(f"{path.name}: its content is a {kind[1:]} archive, its name says otherwise; rename it")
    return path


def _kind(path: Path) -> str:
    """The suffix that goes with a file's content, by its first bytes (a zip's directory, too); empty for others."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(b"PK"):
        return ".zip" if zipfile.is_zipfile(path) else ""
    try:
        with gzip.open(path) if magic.startswith(b"\x1f\x8b") else path.open("rb") as file:
            tarfile.TarInfo.frombuf(file.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except (tarfile.HeaderError, gzip.BadGzipFile, EOFError, zlib.error):
        return ""
    return ".tar.gz" if magic.startswith(b"\x1f\x8b") else ".tar"
