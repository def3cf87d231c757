"""Stage collect: bring a data set's original archives, untouched, to data/raw/<dataset>/ and record what they are."""

import gzip
import hashlib
import json
import logging
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from waymark import paths
from waymark.datasets import addresses, rendered, transfer
from waymark.datasets.base import Origin
from waymark.datasets.registry import DATASETS
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.params import Params, load

logger = logging.getLogger(__name__)

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
SOURCE = "source.json"


def run(params: Params) -> None:
    """Fill data/raw/<dataset>/ with the archives and source.json, or leave it as it was and raise WaymarkError."""
    try:
        with _replacing(paths.raw(params.dataset)) as folder:
            facts = _draw(folder, params) if params.dataset == "rendered" else _fetch(folder, params)
            document = json.dumps({"dataset": params.dataset} | facts, indent=2, ensure_ascii=False) + "\n"
            (folder / SOURCE).write_text(document, encoding="utf-8")
    except OSError as error:
        where = error.filename or paths.raw(params.dataset)
        raise WaymarkError(f"{where}: cannot be read or written ({error.strerror or error})") from error


def _draw(folder: Path, params: Params) -> dict[str, Any]:
    tracks, frames, seed = params.rendered_tracks, params.rendered_frames, params.rendered_seed
    rendered.render(folder, tracks=tracks, frames=frames, seed=seed)
    drawing = {"rendered_seed": seed, "rendered_tracks": tracks, "rendered_frames": frames}
    return {"source": "drawn", "drawing": drawing, "objects": [_measure(path) for path in sorted(folder.iterdir())]}


def _fetch(folder: Path, params: Params) -> dict[str, Any]:
    official = DATASETS[params.dataset].origins
    origins = sorted(official, key=_name) if params.source == "auto" else find(params.source)
    if twice := {origin.name for origin in origins if [other.name for other in origins].count(origin.name) > 1}:
        raise WaymarkError(f"source: {min(twice)} stands under two prefixes; expected each name once")
    try:
        arrived = transfer.fetch_all(origins, folder, partial=paths.PARTIAL)
    except addresses.UnreachableError as error:
        raise (WaymarkError(_by_hand(error, params.dataset)) if params.source == "auto" else error) from error
    published = {origin.name: origin.md5 for origin in official}
    objects = []
    for origin, fetched in zip(origins, arrived, strict=True):
        name = _accept(folder / origin.name).name
        if published.get(name, "") not in ("", fetched.md5):
            logger.warning("%s: md5 is not the published %s: not the official file", name, published[name])
        logger.info("%s: %s bytes, sha256 %s", name, f"{fetched.bytes:,}", fetched.sha256)
        objects.append({"name": name} | asdict(fetched))
    source = _addresses(official) if params.source == "auto" else addresses.shown(params.source)
    return {"source": source, "objects": objects}


def find(source: str) -> list[Origin]:
    """The archives that `source` names, in the order of their names.

    `source` is a local archive or a folder of them, an http(s):// file, an s3:// object, or an s3:// prefix that ends
    in `/`. Raises WaymarkError where there is none.
    """
    if "://" not in source:
        return _find_local(Path(source).expanduser())
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
    return sorted(origins, key=_name)


def _find_local(path: Path) -> list[Origin]:
    if not path.exists():
        raise WaymarkError(
            f"source: {path} does not exist; expected auto, a local archive or folder, https://… or s3://…"
        )
    if path.is_file():
        return [Origin(str(path), path.name)]
    archives = sorted(member for member in path.iterdir() if member.is_file() and _named_as_archive(member.name))
    if not archives:
        raise WaymarkError(f"source: no archive in folder {path}; expected {', '.join(SUFFIXES)}")
    return [Origin(str(archive), archive.name) for archive in archives]


def _named_as_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _accept(path: Path) -> Path:
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


def _measure(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256, "md5": md5}


def _name(origin: Origin) -> str:
    return origin.name


def _addresses(origins: Sequence[Origin]) -> str:
    return ", ".join(sorted({addresses.shown(origin.url).rpartition("/")[0] + "/" for origin in origins}))


def _by_hand(error: addresses.UnreachableError, dataset: str) -> str:
    official = DATASETS[dataset].origins
    return (
        f"the official address of {dataset} could not be reached ({error}); download "
        f"{', '.join(origin.name for origin in official)} from {_addresses(official)} by hand, or the data set's zip "
        f"from Kaggle, then `dvc exp run -S dataset={dataset} -S source=/path/to/folder` (the path of one file, "
        "https://… and s3://… go as well)"
    )


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """An empty folder that takes `target`'s place when the block succeeds, and vanishes when it does not."""
    new, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():  # killed between the two renames below
        old.rename(target)
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(load()))()
