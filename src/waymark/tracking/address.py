"""Where MLflow is, and a client of it that answers within seconds or says in one sentence why not."""

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from waymark.errors import WaymarkError, reason

if TYPE_CHECKING:  # importing it takes more than a second
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

DATABASE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")  # beside the database
RECORD = "`dvc repro --force --single-item track`"
LATER = f"{RECORD} records the results later"
PARENT = "WAYMARK_PARENT_RUN"  # environment variable: the id of the sweep's run, below which a trial's run stands

_SQLITE = "sqlite:///"
# Neither a folder, MLflow's former store, nor `sqlite://`, a database in memory that ends with the process.
_KEEPS = re.compile(r"sqlite(\+\w+)?:///.|https?://|(postgresql|mysql|mssql)(\+\w+)?://|databricks")
_ANSWER = "5"  # seconds; MLflow's own 120 and seven retries would hold a training up for minutes
_ATTEMPTS = 3  # to open a database, in half a second; MLflow's own ten take 101, and no switch says so
_LONGEST = 200  # characters of what MLflow says
_UPLOAD = "60"  # seconds that a server has to put one file where it keeps it
_SWITCHES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # it tells of each table that it makes, and logs what it raises
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # it counts files, of which there are few
    "MLFLOW_HTTP_REQUEST_TIMEOUT": _ANSWER,
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server may close an idle connection just when it is used again
}


log = logging.getLogger(__name__)


class TrackingError(WaymarkError):
    """MLflow is away, or refuses what it is asked."""


def root() -> Path:
    """The repository's root; DVC runs an experiment in a copy of it, and names the real one in DVC_ROOT."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def uri() -> str:
    """Where MLflow keeps runs: MLFLOW_TRACKING_URI, else a database in the repository's root."""
    named = os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}{DATABASE}"
    # A relative path would lie in the copy in which DVC runs an experiment, and go with it.
    return f"{_SQLITE}{root() / named.removeprefix(_SQLITE)}" if named.startswith(_SQLITE) else named


def shown(uri: str) -> str:
    """The address as people may see it: without user, password and query, where a database's password may stand."""
    return uri if uri.startswith(_SQLITE) else uri.replace(_user(uri), "").partition("?")[0]


def _user(uri: str) -> str:
    """All before the last @: a password may hold any character."""
    found = re.search(r"(?<=://).*@", uri)
    return found[0] if found else ""


def name(dataset: str) -> str:
    """Of the MLflow experiment and of the registered model: only models of one data set can be compared."""
    return f"waymark-{dataset}"


def first_tags(dataset: str) -> dict[str, str]:
    """What is known of a run as it begins: data set, DVC experiment, and the run that it belongs to."""
    tags = {"waymark.dataset": dataset, "waymark.dvc_experiment": os.environ.get("DVC_EXP_NAME", "")}
    parent = os.environ.get(PARENT)
    return tags | ({"mlflow.parentRunId": parent} if parent else {})


class Asking:
    """What costs nothing but itself where MLflow goes away: it is asked no further, and one sentence says so."""

    without: str  # … goes on without it: the end of the sentence
    _client: "MlflowClient | None" = None

    def _ask(self, request: Callable[["MlflowClient"], object]) -> None:
        if self._client is None:
            return
        try:
            with speaking():
                request(self._client)
        except TrackingError as error:
            self._give_up(error)

    def _give_up(self, error: TrackingError) -> None:
        self._client = None
        log.warning("warning: %s; %s", error, self.without)


def connect() -> "MlflowClient":
    """A client of an MLflow that answers. Raises TrackingError, within some ten seconds, where none does."""
    if not _KEEPS.match(uri()):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI: {shown(uri())} is no place that runs are kept in; expected sqlite:///FILE, "
            "http://HOST:PORT, https://HOST or a database as in postgresql://HOST/NAME"
        )
    for switch, value in _SWITCHES.items():
        os.environ.setdefault(switch, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it tells of the retry; one sentence is enough
    from mlflow import MlflowClient  # after the switches above

    if not uri().startswith("http"):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = _ATTEMPTS

    with speaking(), _alone(uri()):
        client = MlflowClient(uri(), registry_uri=uri())
        client.search_experiments(max_results=1)
    return client


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """One process at a time opens a local database: MLflow does not expect two to make its tables at once.

    The lock is on the folder, so no file of it is left.
    """
    if not uri.startswith(_SQLITE):
        yield
        return
    folder = Path(uri.removeprefix(_SQLITE)).parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def experiment(client: "MlflowClient", dataset: str) -> str:
    """The id of the data set's MLflow experiment, which is made where there is none."""
    with speaking():
        known = client.get_experiment_by_name(name(dataset)) or _make(client, name(dataset))
        if known.lifecycle_stage != "active":
            restore = f"mlflow experiments restore --experiment-id {known.experiment_id}"
            raise TrackingError(f"MLflow's experiment {known.name} was deleted; restore it: `{restore}`")
        return str(known.experiment_id)


def _make(client: "MlflowClient", name: str) -> "Experiment":
    from mlflow import MlflowException

    database = uri().removeprefix(_SQLITE)
    beside = str(Path(database).parent / ARTIFACTS) if database != uri() else None  # else the server's own place
    try:
        return client.get_experiment(client.create_experiment(name, artifact_location=beside))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        by_another_process = client.get_experiment_by_name(name)
        assert by_another_process is not None
        return by_another_process


@contextmanager
def speaking() -> Iterator[None]:
    """Turn whatever MLflow raises into one sentence, TrackingError, without user and password."""
    try:
        yield
    except WaymarkError:
        raise
    except Exception as error:  # requests', SQLAlchemy's and its own; a foreign server's answer raises anything
        raise TrackingError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """The system's own reason where there is one below MLflow's words, which repeat the address with its password."""
    cause: BaseException = error
    while (below := cause.__cause__ or cause.__context__) and not isinstance(below, LookupError):
        cause = below
    where = shown(uri())
    if isinstance(cause, TimeoutError):
        return f"MLflow at {where} does not answer"
    if isinstance(cause, OSError):
        return f"MLflow at {where} cannot be reached ({reason(cause)})"
    said = next(iter(str(cause).strip().splitlines()), type(cause).__name__).replace(_user(uri()), "")
    return f"MLflow at {where} does not do as asked ({said[:_LONGEST]})"


@contextmanager
def uploading() -> Iterator[None]:
    """Give the server more time for an answer, unless the person has said how much."""
    if os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") != _ANSWER:
        yield
        return
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = _UPLOAD
    try:
        yield
    finally:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = _ANSWER
