"""`waymark runs`: what git and DVC know of results beside what MLflow does."""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from waymark.tracking import address, revisions, runs
from waymark.tracking.address import TrackingError
from waymark.tracking.registry import MODEL_VERSION, Registry
from waymark.tracking.revisions import Revision

if TYPE_CHECKING:
    from mlflow.entities import Run

Format = Literal["table", "json", "csv"]

_SHOWN = 20  # runs without a revision that a table shows
_TRAINED = "trained"
_NAME = 40  # characters of a name in a table
_METRICS = ("accuracy", "expected_calibration_error", "coverage")
_HEADINGS = ("", "commit", "run", "accuracy", "ECE", "coverage", "")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    kind: str  # workspace, commit, experiment; run where git has nothing of it
    experiment: str  # DVC's name of it
    commit: str
    subject: str  # of the commit
    run: str  # MLflow's id
    run_name: str
    status: str  # of the run: finished, running, failed, killed; or trained, where `track` did not complete it
    dataset: str
    accuracy: float | None
    expected_calibration_error: float | None
    coverage: float | None
    champion: bool


@dataclass(frozen=True)
class Known:
    """What MLflow has of some data sets; nothing where it is away."""

    runs: "Sequence[Run]"
    champions: frozenset[str]  # model versions

    def of(self, revision: Revision) -> "Run | None":
        """The run with the same dvc.lock, else with the same outcome; the latest of several."""
        for tag, value in zip(("dvc_lock_sha256", "outcome_sha256"), revision.hashes, strict=True):
            for run in self.runs:
                if value and run.data.tags.get(f"waymark.{tag}") == value:
                    return run
        return None


def show(root: Path, dataset: str, kind: Format, commits: int) -> str:
    """Raises WaymarkError outside a git repository; an MLflow that is away is told of by a warning."""
    there = revisions.known(root, commits)
    known = _ask({dataset, *(revision.dataset for revision in there)})
    found = [(revision, known.of(revision)) for revision in there]
    here = {run.info.run_id for _, run in found if run}
    rows = [_of_revision(revision, run, known) for revision, run in found]
    rows += [_of_run(run, known) for run in known.runs if run.info.run_id not in here]
    return _WRITERS[kind](rows)


def _ask(datasets: Iterable[str]) -> Known:
    try:
        client = address.connect()
        champions = [Registry(client, dataset).champion() for dataset in datasets]
        found = [run for dataset in sorted(datasets) for run in runs.known(client, dataset)]
    except TrackingError as error:
        log.warning("warning: %s; its runs are not listed", error)
        return Known([], frozenset())
    return Known(found, frozenset(version.model_version for version in champions if version))


def _of_revision(revision: Revision, run: "Run | None", known: Known) -> Row:
    return Row(
        kind=revision.kind,
        experiment=revision.name if revision.kind == "experiment" else "",
        commit=revision.commit,
        subject=revision.name if revision.kind == "commit" else "",
        **_told(run, known),
        dataset=revision.dataset,
        **_figures(revision.metrics, ""),
    )


def _of_run(run: "Run", known: Known) -> Row:
    tags, metrics = run.data.tags, run.data.metrics
    return Row(
        kind="run",
        experiment=tags.get("waymark.dvc_experiment", ""),
        commit=tags.get("waymark.git_commit", ""),
        subject="",
        **_told(run, known),
        dataset=tags.get("waymark.dataset", ""),
        **_figures(metrics, "test/"),
    )


def _told(run: "Run | None", known: Known) -> dict[str, Any]:
    if run is None:
        return {"run": "", "run_name": "", "status": "", "champion": False}
    status = run.info.status.lower()
    return {
        "run": run.info.run_id,
        "run_name": run.info.run_name,
        "status": _TRAINED if status == "finished" and not runs.complete(run) else status,
        "champion": run.data.tags.get(MODEL_VERSION) in known.champions,
    }


def _figures(metrics: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name: metrics.get(f"{prefix}{name}") for name in _METRICS}


def _json(rows: Sequence[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False)


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue().rstrip("\n")


def _table(rows: Sequence[Row]) -> str:
    revised = [row for row in rows if row.kind != "run"]
    alone = [row for row in rows if row.kind == "run"]
    cells = [_HEADINGS, *map(_cells, revised + alone[:_SHOWN])]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    if alone:
        lines.insert(1 + len(revised), "Runs that no commit above and no experiment here leads to:")
    if len(alone) > _SHOWN:
        lines.append(f"and {len(alone) - _SHOWN} more, which --format csv lists")
    if any(row.status == _TRAINED for row in alone):
        lines.append(f"{_TRAINED}: nothing has judged it yet, or DVC knew the outcome; {address.RECORD} completes it")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    name = row.experiment or row.subject or (row.run_name if row.kind == "run" else row.kind)
    said = {"finished": "", "": ""}.get(row.status, row.status)
    figures = (row.accuracy, row.expected_calibration_error, row.coverage)
    return (
        _printable(name),
        row.commit[:7],
        row.run[:8] or "–",
        *("–" if figure is None else f"{figure:.4f}" for figure in figures),
        "champion" if row.champion else said,
    )


def _printable(name: str) -> str:
    """A commit's message comes from anybody; a terminal must not obey it."""
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return plain if len(plain) <= _NAME else f"{plain[: _NAME - 1]}…"


_WRITERS: dict[Format, Callable[[Sequence[Row]], str]] = {"table": _table, "json": _json, "csv": _csv}
