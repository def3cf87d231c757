"""Taking a Snapshot of a revision, with notes on what is missing or doubtful there."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from waymark import contract, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError, reason
from waymark.reporting import git
from waymark.reporting.document import Code, Data, Part, Text, listed, literal, parts
from waymark.reporting.revisions import LOCK, Revision
from waymark.reporting.snapshot import Snapshot, outputs

_IMAGES = ["archive", "member", "class_name", "split", "bytes_sha256", "pixels_sha256"]
_SOURCE = "source.json"


def take(revision: Revision, *, with_data: bool) -> Snapshot:
    """All that a report asks of a revision; with its archives and its images where they may differ."""
    ran = {
        key: value
        for stage in revision.stages.values()
        for of_file in stage.get("params", {}).values()
        for key, value in of_file.items()
    }
    dataset = str(ran.get("dataset", ""))
    export = revision.figures(paths.EXPORT) or {}
    snapshot = Snapshot(
        name=revision.name,
        commit=revision.commit or "",
        params=revision.params | ran,
        stages=revision.stages,
        metrics=revision.figures(paths.METRICS),
        split=revision.figures(paths.SPLIT_REPORT),
        contract=_contract(revision),
        onnx_bytes=export.get("onnx_bytes"),
        predictions=_table(revision, paths.PREDICTIONS),
        archives=_archives(revision, paths.raw(dataset) / _SOURCE) if with_data else None,
        manifest=_table(revision, paths.MANIFEST, _IMAGES) if with_data else None,
    )
    return replace(snapshot, notes=tuple(notes(revision)))


def notes(revision: Revision) -> list[Text]:
    """What is to be known of a revision before its figures are believed; asked for last, for what was missing."""
    if not revision.stages:
        return [("There is no ", Code(str(LOCK)), " at ", _named(revision), ": no stage has run there.")]
    found: list[Text] = []
    if outdated := _outdated(revision):
        stages = parts(listed([literal(name) for name in outdated]))
        if revision.commit is None:
            why: Text = (" again, or fetch what is missing (", Code("dvc status"), " says why).")
        else:
            why = " again: their sources or parameters changed after their last run, which this tells of."
        where = "In " if revision.commit is None else "At "
        found.append((where, _named(revision), ", ", Code("dvc repro"), " would run ", *stages, *parts(why)))
    if revision.missing:
        files = parts(listed([literal(path) for path in revision.missing]))
        if revision.storage.away:
            said: tuple[Part, ...] = ("DVC’s remote did not answer, and this machine has no sound copy of ", *files)
        else:
            said = ("Neither this machine nor DVC’s remote has a sound copy of ", *files)
        push = (Code("dvc push"), " by whoever ran it, then ", Code("dvc fetch"), " here, brings what is missing.")
        found.append((*said, ", of ", _named(revision), ". ", *push))
    if revision.unreadable:
        files = parts(listed([literal(path) for path in revision.unreadable]))
        found.append(("Of ", _named(revision), " not read, for another version of Waymark wrote it: ", *files, "."))
    return found


def _named(revision: Revision) -> Data:
    return Data(revision.name, is_code=revision.commit is not None)


def _outdated(revision: Revision) -> list[str]:
    """The stages that would run again: DVC's word for the workspace; for a commit, by its files and parameters."""
    if revision.commit is None:
        return revision.storage.outdated()
    written = outputs(revision.stages)
    told = {
        name: {each["path"]: each["md5"] for each in stage.get("deps", []) if each["path"] not in written}
        for name, stage in revision.stages.items()
    }
    asked = sorted({path for files in told.values() for path, md5 in files.items() if not md5.endswith(".dir")})
    contents = git.read(revision.root, revision.commit, asked)
    found = {path: hashlib.md5(contents[path]).hexdigest() if path in contents else "" for path in asked}
    return [
        name
        for name, stage in revision.stages.items()
        if any(found.get(path, md5) != md5 for path, md5 in told[name].items())
        or any(
            revision.params.get(key) != value for of in stage.get("params", {}).values() for key, value in of.items()
        )
    ]


def _contract(revision: Revision) -> Contract | None:
    """None also for a contract of another version of Waymark, which is noted."""
    if (content := revision.read(paths.CONTRACT)) is None:
        return None
    with TemporaryDirectory() as folder:
        file = Path(folder) / paths.CONTRACT.name
        file.write_bytes(content)
        try:
            return contract.read(file)
        except WaymarkError:
            revision.unreadable.append(paths.CONTRACT.as_posix())
            return None


def _archives(revision: Revision, path: Path) -> dict[str, Any] | None:
    content = revision.read(path, within=paths.RAW)
    try:
        return None if content is None else {each["name"]: each for each in json.loads(content)["objects"]}
    except (ValueError, KeyError, TypeError):
        return None


def _table(revision: Revision, path: Path, columns: list[str] | None = None) -> pd.DataFrame | None:
    content = revision.read(path)
    if content is None:
        return None
    try:
        return pd.read_parquet(io.BytesIO(content), columns=columns)
    except (ValueError, OSError) as error:
        raise WaymarkError(f"{path} of {revision.name}: cannot be read ({reason(error)}); run `dvc repro`") from None
