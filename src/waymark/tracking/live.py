"""The curves of a training while it learns. An MLflow that goes away costs them, never the training."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from waymark.tracking import address
from waymark.tracking.address import LATER, TrackingError

EPOCHS = "WAYMARK_EPOCHS"  # environment variable: a file that gets a line of JSON for each epoch


class Curves(address.Asking):
    """One training's run in MLflow, or nothing once MLflow was away: it is asked no further."""

    without = f"training goes on without it, {LATER}"

    def __init__(self, dataset: str) -> None:
        self._run_id = ""
        try:
            client = address.connect()
            experiment = address.experiment(client, dataset)
            tags, named = address.first_tags(dataset), os.environ.get("DVC_EXP_NAME")
            with address.speaking():
                self._run_id = client.create_run(experiment, tags=tags, run_name=named or None).info.run_id
            self._client = client
        except TrackingError as error:
            self._give_up(error)

    def add(self, epoch: Mapping[str, float]) -> None:
        """One row of the history, and what else is known of the epoch."""
        _tell_sweep(epoch)
        if self._client is None:
            return
        from mlflow.entities import Metric

        now, step = int(time.time() * 1000), int(epoch["epoch"])
        metrics = [Metric(key, float(value), now, step) for key, value in epoch.items() if key != "epoch"]
        self._ask(lambda client: client.log_batch(self._run_id, metrics=metrics))

    def learned(self, weights_sha256: str) -> None:
        """The weights that came of it, by which the stage `track` finds the run."""
        self._ask(lambda client: client.set_tag(self._run_id, "waymark.weights_sha256", weights_sha256))

    def end(self, status: str) -> None:
        """`status`: FINISHED, FAILED or KILLED."""
        self._ask(lambda client: client.set_terminated(self._run_id, status))


def _tell_sweep(epoch: Mapping[str, float]) -> None:
    """Let a sweep know, which may end a trial that promises little; it reads whole lines."""
    if path := os.environ.get(EPOCHS):
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(epoch)) + "\n")


@contextmanager
def training(dataset: str) -> Iterator[Curves]:
    """A run for as long as the block takes; if it fails or is interrupted, so does the run."""
    curves = Curves(dataset)
    try:
        yield curves
    except Exception:
        curves.end("FAILED")
        raise
    except BaseException:  # Ctrl-C, and what Lightning makes of it and of a signal to end
        curves.end("KILLED")
        raise
    curves.end("FINISHED")
