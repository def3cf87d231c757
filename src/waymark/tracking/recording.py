"""One outcome of the stage graph as one run in MLflow: parameters, metrics, curves, files, and what it is known by."""

import csv
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waymark import contract, paths
from waymark.contract import Contract
from waymark.files import reading
from waymark.serving import lineage
from waymark.tracking import address, identity, layout, machine, runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_BATCH = 500  # metrics in one request; MLflow takes 1000
_FORBIDDEN = re.compile(r"[^\w. :-]")  # in a metric's name; a slash would make a section of its own
_LONGEST = 5000  # characters of a tag; MLflow takes 8000


def record(client: "MlflowClient", root: Path) -> tuple["Run", bool]:
    """The run of what `dvc repro` left under `root`, and whether anything was added to it.

    It is the run that has the same dvc.lock already; else one that was begun, completed; else a new one.
    The tags that make a run complete are written last: a recording that broke off is not taken for one.
    """
    completed = contract.read(root / paths.CONTRACT)
    origin = lineage.of_workspace(root)
    known_by = _known_by(root, completed, origin)
    if found := _recorded(client, completed.dataset, known_by):
        return found, False
    curves, figures = list(_curves(root)), list(_figures(root))
    facts = {f"machine.{name}": value for name, value in machine.facts().items()}
    with tempfile.TemporaryDirectory(prefix="waymark-track-") as folder:
        layout.gather(root, Path(folder), completed, origin)
        with address.speaking(), address.uploading():
            begun = _begun(client, completed) or _begin(client, completed, curves)
            run_id: str = begun.info.run_id
            _log(client, run_id, figures, origin["parameters"] or {})
            client.log_artifacts(run_id, folder)
            client.set_tag(run_id, "mlflow.note.content", (origin["card"] or "")[:_LONGEST])
            known_by["dvc_experiment"] = begun.data.tags.get("waymark.dvc_experiment", "")
            _tag(client, run_id, {"recorded": begun.data.tags.get("waymark.recorded", "live")} | facts)
            _tag(client, run_id, known_by)
            return client.get_run(run_id), True


def _known_by(root: Path, completed: Contract, origin: Mapping[str, Any]) -> dict[str, str]:
    lock = identity.lock_of_files(root)
    changed = _changed_code(root)
    return {
        "dataset": completed.dataset,
        "git_commit": origin["commit"] or "",
        "git_changed": "" if changed is None else str(changed).lower(),
        "dvc_lock_sha256": identity.lock_sha256(lock) if lock else "",
        "dvc_experiment": os.environ.get("DVC_EXP_NAME", ""),
        "outcome_sha256": identity.outcome_of_files(root),
        "manifest_sha256": _document(root, paths.VALIDATION).get("manifest_sha256", ""),
        "split_sha256": completed.split_sha256,
        "weights_sha256": completed.weights_sha256,
        "onnx_sha256": completed.onnx_sha256,
        "model_version": identity.model_version(root),
    }


def _recorded(client: "MlflowClient", dataset: str, known_by: Mapping[str, str]) -> "Run | None":
    tag = "dvc_lock_sha256" if known_by["dvc_lock_sha256"] else "outcome_sha256"
    found = runs.known(client, dataset, f"tags.`waymark.{tag}` = '{known_by[tag]}'") if known_by[tag] else []
    return next(filter(runs.complete, found), None)


def _begun(client: "MlflowClient", completed: Contract) -> "Run | None":
    """The run that training, or a recording that broke off, left to be completed.

    It is of this DVC experiment, where two learn the same at once.
    """
    same = f"tags.`waymark.weights_sha256` = '{completed.weights_sha256}' and attributes.status = 'FINISHED'"
    left = [run for run in runs.known(client, completed.dataset, same) if not runs.complete(run)]
    named = os.environ.get("DVC_EXP_NAME", "")
    own = [run for run in left if run.data.tags.get("waymark.dvc_experiment") == named]
    return next(iter(own if named else own + left), None)


def _begin(client: "MlflowClient", completed: Contract, curves: "Sequence[Point]") -> "Run":
    """A run for a model whose training MLflow did not see: DVC had it in its cache, or MLflow was away."""
    named = os.environ.get("DVC_EXP_NAME", "")
    tags = address.first_tags(completed.dataset) | {"waymark.recorded": "from files"}
    run = client.create_run(address.experiment(client, completed.dataset), tags=tags, run_name=named or None)
    _log(client, run.info.run_id, curves, {})
    # As training leaves it: if the recording breaks off, the next one completes this run.
    _tag(client, run.info.run_id, {"weights_sha256": completed.weights_sha256})
    client.set_terminated(run.info.run_id, "FINISHED")
    return run


Point = tuple[str, float, int]  # metric, value, step


def _curves(root: Path) -> Iterator[Point]:
    if not (root / paths.HISTORY).is_file():
        return
    with reading(paths.HISTORY), (root / paths.HISTORY).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row.pop("epoch"))
            yield from ((key, float(value), step) for key, value in row.items())


def _figures(root: Path) -> Iterator[Point]:
    """test/…, val/…, model/… and split/…, out of the reports; MLflow draws them in one section for each."""
    exported = _document(root, paths.EXPORT)
    val = exported.pop("val", {})
    for prefix, document in (
        ("test", _document(root, paths.METRICS)),
        ("val", val),
        ("model", exported),
        ("split", _document(root, paths.SPLIT_REPORT)),
    ):
        numbers = _numbers("", document)
        yield from ((f"{prefix}/{re.sub(_FORBIDDEN, '_', key)}", value, 0) for key, value in numbers)


def _numbers(prefix: str, document: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _numbers(f"{prefix}{key}.", value)
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", float(value)


def _document(root: Path, path: Path) -> dict[str, Any]:
    """A report, or nothing where its stage has not run."""
    if not (root / path).is_file():
        return {}
    with reading(path):
        document: dict[str, Any] = json.loads((root / path).read_text(encoding="utf-8"))
        return document


def _log(client: "MlflowClient", run_id: str, points: Sequence[Point], parameters: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in points]
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in parameters.items()])


def _tag(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(f"waymark.{name}", value) for name, value in tags.items()])


def _changed_code(root: Path) -> bool | None:
    """Whether files that git knows, but for what the graph itself writes, differ from the commit."""
    written = (f":(exclude){identity.LOCK}", ":(exclude)reports")
    command = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no", "--", ".", *written]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout.strip())
