"""collect: bring a data set's original archives, untouched, to data/raw/<dataset>/ and record what they are."""

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
from waymark.datasets import addresses, kaggle, packing, rendered, sources, transfer
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
    objects = [{"name": path.name} | asdict(transfer.measure(path)) for path in sorted(folder.iterdir())]
    drawing = {"rendered_seed": seed, "rendered_tracks": tracks, "rendered_frames": frames}
    return {"source": "drawn", "drawing": drawing, "objects": objects}


def _fetch(folder: Path, params: Params) -> dict[str, Any]:
    official = DATASETS[params.dataset].origins
    wanted = origins(params)
    try:
        arrived = _bring(wanted, folder)
    except addresses.UnreachableError as error:
        if params.source == "auto" or params.source.startswith(kaggle.SCHEME):
            raise WaymarkError(_by_hand(error, wanted, params.dataset)) from error
        raise
    published = {origin.name: origin.md5 for origin in official}
    objects = []
    for origin in wanted:
        name, facts = sources.accept(folder / origin.name).name, arrived[origin.name]
        if published.get(name, "") not in ("", facts["md5"]):
            logger.warning("%s: md5 is not the published %s: not the official file", name, published[name])
        logger.info("%s: %s bytes, sha256 %s", name, f"{facts['bytes']:,}", facts["sha256"])
        objects.append({"name": name} | facts)
    source = _addresses(official) if params.source == "auto" else addresses.shown(params.source)
    return {"source": source, "objects": objects}


def origins(params: Params) -> list[Origin]:
    """What the parameters say to collect, in the order of the names; nothing for a data set that is drawn."""
    official = sorted(DATASETS[params.dataset].origins, key=attrgetter("name"))
    wanted = official if params.source == "auto" else sources.find(params.source, classes=params.dataset == "folder")
    names = [origin.name for origin in wanted]
    if twice := {name for name in names if names.count(name) > 1}:
        raise WaymarkError(f"source: {min(twice)} stands under two prefixes; expected each name once")
    return wanted


def _bring(wanted: Sequence[Origin], folder: Path) -> dict[str, dict[str, Any]]:
    """Each origin in `folder`, by its name: bytes, sha256, md5 and, from Kaggle, handle and version."""
    facts: dict[str, dict[str, Any]] = {}
    archives = []
    for origin in wanted:
        if origin.url.startswith(kaggle.SCHEME):
            fetched, version = kaggle.fetch(origin.url, folder / origin.name, partial=paths.PARTIAL)
            facts[origin.name] = asdict(fetched) | {"handle": str(kaggle.parse(origin.url)), "version": version}
        elif "://" not in origin.url and Path(origin.url).is_dir():
            packing.pack(Path(origin.url), folder / origin.name)
            facts[origin.name] = asdict(transfer.measure(folder / origin.name))
        else:
            archives.append(origin)
    for origin, fetched in zip(archives, transfer.fetch_all(archives, folder, partial=paths.PARTIAL), strict=True):
        facts[origin.name] = asdict(fetched)
    return facts


def _addresses(origins: Sequence[Origin]) -> str:
    """Where a person finds the origins: their folders, or on Kaggle the data sets themselves."""
    shown = [addresses.shown(origin.url) for origin in origins]
    return ", ".join(sorted({url if url.startswith(kaggle.SCHEME) else url.rpartition("/")[0] + "/" for url in shown}))


def _by_hand(error: addresses.UnreachableError, wanted: Sequence[Origin], dataset: str) -> str:
    names = ", ".join(origin.name for origin in wanted)
    pages = [kaggle.parse(origin.url).page for origin in wanted if origin.url.startswith(kaggle.SCHEME)]
    where = f"{names} from {', '.join(pages) or _addresses(wanted)} by hand"
    if dataset == "gtsrb" and not pages:
        where += ", or the data set's zip from Kaggle"
    return (
        f"{dataset} could not be had from where it is published ({error}); download {where}, then "
        f"`dvc exp run -S dataset={dataset} -S source=/path/to/folder` "
        "(the path of one file, https://…, s3://… and kaggle://… go as well)"
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
