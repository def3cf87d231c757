"""MLflow's runs of a data set, found by what people and dvc.lock know of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from waymark.errors import WaymarkError
from waymark.tracking import address, identity

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SWEEP = "waymark.sweep"  # tag of a sweep's own run: its name
_PAGE = 500
_NAMED = 10  # runs that a sentence names at most


class RunNameError(WaymarkError):
    """No run is called as asked, or several are."""


def known(client: "MlflowClient", dataset: str, tagged: str = "") -> "list[Run]":
    """The data set's runs, the latest first; `tagged` is an expression of MLflow's search, all where it is empty."""
    with address.speaking():
        experiment = client.get_experiment_by_name(address.name(dataset))
        return [] if experiment is None else list(_pages(client, experiment.experiment_id, tagged))


def _pages(client: "MlflowClient", experiment: str, tagged: str) -> "Iterator[Run]":
    token: str | None = None
    while True:
        page = client.search_runs([experiment], tagged, max_results=_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def complete(run: "Run") -> bool:
    """Whether the stage `track` has put everything into it; else only training did."""
    return "waymark.model_version" in run.data.tags


def is_sweep(run: "Run") -> bool:
    """Whether it is no training's, but stands above those of a sweep."""
    return SWEEP in run.data.tags


def of_lock(client: "MlflowClient", dataset: str, text: str) -> "Run | None":
    """The run of a dvc.lock; else the latest with the same model and the same answers; else None."""
    for tag, value in (
        ("dvc_lock_sha256", identity.lock_sha256(text)),
        ("outcome_sha256", identity.outcome_of_lock(text)),
    ):
        if value and (found := known(client, dataset, f"tags.`waymark.{tag}` = '{value}'")):
            return found[0]
    return None


def find(client: "MlflowClient", dataset: str, text: str) -> "Run":
    """The complete run that `text` names: its id or eight first digits of it, its name, its DVC experiment, or the
    version of its model.

    Raises RunNameError where none is called so, or several are.
    """
    runs = [run for run in known(client, dataset) if complete(run)]
    found = [run for run in runs if text in _names(run)] or [
        run for run in runs if len(text) >= 8 and run.info.run_id.startswith(text)
    ]
    if len(found) == 1:
        return found[0]
    where = f"{address.name(dataset)} in MLflow at {address.shown(address.uri())}"
    if not found:
        there = f"there are {_listed(runs)}" if runs else "there is none yet; `dvc repro` records one"
        raise RunNameError(f"{text}: no run of {where} is called so; {there}")
    raise RunNameError(f"{text}: several runs of {where} are called so; give the id of one of {_listed(found)}")


def _names(run: "Run") -> set[str]:
    tags = run.data.tags
    named = (tags.get(f"waymark.{tag}") for tag in ("dvc_experiment", "model_version"))
    return {run.info.run_id, run.info.run_name, *filter(None, named)}


def _listed(runs: "list[Run]") -> str:
    named = ", ".join(f"{run.info.run_id[:8]} ({run.info.run_name})" for run in runs[:_NAMED])
    return named + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")
