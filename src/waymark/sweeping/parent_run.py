"""A sweep's run in MLflow, above those of its trials. An MLflow that is away costs it, never the sweep."""

from typing import TYPE_CHECKING

from waymark.tracking import address, runs
from waymark.tracking.address import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient


class ParentRun(address.Asking):
    """`run_id` is '' where MLflow was away as the sweep began."""

    without = "the sweep goes on without its run there"

    def __init__(self, name: str, dataset: str, note: str, known: str) -> None:
        self.run_id, self._dataset = known, dataset
        try:
            self._client = address.connect()
            experiment = address.experiment(self._client, dataset)
        except TrackingError as error:
            self._give_up(error)
            return
        tags = {runs.SWEEP: name, "waymark.dataset": dataset, "mlflow.note.content": note}

        def begin(client: "MlflowClient") -> None:
            if self.run_id and any(run.info.run_id == self.run_id for run in runs.known(client, dataset)):
                client.update_run(self.run_id, status="RUNNING")
            else:
                self.run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id

        self._ask(begin)

    def best(self, metric: str, value: float, trials: int) -> None:
        """The best value after so many trials."""
        self._ask(lambda client: client.log_metric(self.run_id, f"best_{metric}", value, step=trials))

    def close(self, experiment: str) -> None:
        """Say of a trial's run that it was killed, where the trial could not: nothing runs there any more."""
        running = f"tags.`waymark.dvc_experiment` = '{experiment}' and attributes.status = 'RUNNING'"

        def close(client: "MlflowClient") -> None:
            for run in runs.known(client, self._dataset, running):
                if run.data.tags.get("mlflow.parentRunId") == self.run_id:
                    client.set_terminated(run.info.run_id, "KILLED")

        self._ask(close)

    def end(self, status: str, best: str) -> None:
        """`status`: FINISHED, FAILED or KILLED; `best`: the experiment, '' where none came to its end."""

        def end(client: "MlflowClient") -> None:
            client.set_tag(self.run_id, "waymark.best", best)
            client.set_terminated(self.run_id, status)

        self._ask(end)
