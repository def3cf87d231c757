"""collect: bring a data set's original archives, untouched, to data/raw/<dataset>/ and record what they are."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

from waymark import paths
from waymark.datasets import addresses, rendered, sources, transfer
from waymark.datasets.base import Origin
from waymark.datasets.registry import DATASETS
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.params import Params, load

logger = logging.getLogger(__name__)

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
    origins = sorted(official, key=attrgetter("name")) if params.source == "auto" else sources.find(params.source)
    if twice := {origin.name for origin in origins if [other.name for other in origins].count(origin.name) > 1}:
        raise WaymarkError(f"source: {min(twice)} stands under two prefixes; expected each name once")
    try:
        arrived = transfer.fetch_all(origins, folder, partial=paths.PARTIAL)
    except addresses.UnreachableError as error:
        raise (WaymarkError(_by_hand(error, params.dataset)) if params.source == "auto" else error) from error
    published = {origin.name: origin.md5 for origin in official}
    objects = []
    for origin, fetched in zip(origins, arrived, strict=True):
        name = sources.accept(folder / origin.name).name
        if published.get(name, "") not in ("", fetched.md5):
            logger.warning("%s: md5 is not the published %s: not the official file", name, published[name])
        logger.info("%s: %s bytes, sha256 %s", name, f"{fetched.bytes:,}", fetched.sha256)
        objects.append({"name": name} | asdict(fetched))
    source = _addresses(official) if params.source == "auto" else addresses.shown(params.source)
    return {"source": source, "objects": objects}


def _measure(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256, "md5": md5}


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
