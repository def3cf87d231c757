"""Taking a Snapshot of a revision."""

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from waymark import contract, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.reporting.revisions import Revision
from waymark.reporting.snapshot import Snapshot, parameters

_IMAGES = ["archive", "member", "class_name", "split", "bytes_sha256", "pixels_sha256"]
_SOURCE = "source.json"

# What another version of Waymark wrote, or what is damaged, is None as well as what is missing; the revision notes it.


def take(revision: Revision, *, with_data: bool) -> Snapshot:
    """All that a report asks of a revision; with its archives and its images where they may differ."""
    ran = {key: value for stage in revision.stages.values() for key, value in parameters(stage).items()}
    dataset = str(ran.get("dataset", ""))
    export = revision.figures(paths.EXPORT) or {}
    described = _contract(revision)
    predictions = _predictions(revision, described)
    lacking, path = ("predictions", paths.PREDICTIONS) if predictions is None else ("class names", paths.CONTRACT)
    return Snapshot(
        name=revision.name,
        commit=revision.commit or "",
        params=revision.params | ran,
        stages=revision.stages,
        metrics=revision.figures(paths.METRICS),
        split=revision.figures(paths.SPLIT_REPORT),
        contract=described,
        onnx_bytes=export.get("onnx_bytes"),
        predictions=predictions,
        absence=f"{lacking} {revision.absence(path)}",
        is_run=revision.is_run,
        archives=_archives(revision, paths.raw(dataset) / _SOURCE) if with_data else None,
        manifest=_table(revision, paths.MANIFEST, _IMAGES) if with_data else None,
    )


def _contract(revision: Revision) -> Contract | None:
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


def _predictions(revision: Revision, described: Contract | None) -> pd.DataFrame | None:
    """None also where they name a class that the contract does not: the two are of different runs."""
    answers = _table(revision, paths.PREDICTIONS)
    if answers is None or described is None:
        return answers
    classes = range(len(described.class_names))
    if not all(answers[column].isin(classes).all() for column in ("label", "predicted") if column in answers):
        revision.unreadable.append(paths.PREDICTIONS.as_posix())
        return None
    return answers


def _archives(revision: Revision, path: Path) -> dict[str, Any] | None:
    content = revision.read(path, within=paths.RAW)
    try:
        return None if content is None else {each["name"]: each for each in json.loads(content)["objects"]}
    except (ValueError, KeyError, TypeError):
        return None


def _table(revision: Revision, path: Path, columns: list[str] | None = None) -> pd.DataFrame | None:
    if (content := revision.read(path)) is None:
        return None
    try:
        return pd.read_parquet(io.BytesIO(content), columns=columns)
    except (ValueError, OSError, KeyError):
        revision.unreadable.append(path.as_posix())
        return None
