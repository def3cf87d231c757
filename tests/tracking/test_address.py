"""Where MLflow is sought, and what is said of one that is away: within seconds, in one sentence, without a password."""

import http.server
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from waymark.tracking import address
from waymark.tracking.address import TrackingError


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where DVC runs an experiment of the repository in tmp_path."""
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return copy


@pytest.mark.parametrize("named", ["", "sqlite:///mlflow.db"])
def test_default_is_a_database_in_the_root_also_for_an_experiment_in_a_copy(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    assert address.uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.delenv("DVC_ROOT")
    assert address.uri() == f"sqlite:///{copy}/mlflow.db"


@pytest.mark.parametrize("named", ["sqlite:////var/mlflow.db", "http://127.0.0.1:5000", "https://mlflow.example.com"])
def test_named_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    assert address.uri() == named


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        ("https://ann:geheim@mlflow.example.com/team", "https://mlflow.example.com/team"),
        ("https://ann:ge/h@im@mlflow.example.com", "https://mlflow.example.com"),
        ("postgresql://db.example.com/runs?user=ann&password=geheim", "postgresql://db.example.com/runs"),
        ("sqlite:////home/ann@work/mlflow.db", "sqlite:////home/ann@work/mlflow.db"),
    ],
)
def test_password_is_not_shown(uri: str, seen: str) -> None:
    assert address.shown(uri) == seen


class Foreign(http.server.BaseHTTPRequestHandler):
    """A server that is no MLflow, or one that refuses."""

    answer: tuple[int, bytes] = (200, b"")

    def do_POST(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def foreign() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b"<html>a page</html>"), "the response body was not in a valid JSON format"),
        ((401, b"not authenticated"), "failed with error code 401"),
        ((403, b'{"error_code": "PERMISSION_DENIED", "message": "not yours"}'), "PERMISSION_DENIED: not yours"),
        ((404, b"no such page"), "failed with error code 404"),
        ((500, b"broken"), "too many 500 error responses"),
    ],
)
def test_server_that_refuses_or_is_no_mlflow_is_said_in_one_line_without_the_password(
    foreign: str, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes], reason: str
) -> None:
    monkeypatch.setattr(Foreign, "answer", answer)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:geheim@{foreign}")
    with pytest.raises(TrackingError) as refused:
        address.connect()
    sentence = str(refused.value)
    assert sentence.startswith(f"MLflow at http://{foreign} does not do as asked (")
    assert reason in sentence
    assert "geheim" not in sentence
    assert "\n" not in sentence


def test_nobody_listens_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:geheim@127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"^MLflow at http://127.0.0.1:1 cannot be reached \(Connection refused\)$"):
        address.connect()
    assert time.monotonic() - began < 5


def test_time_for_an_answer_is_what_the_person_says_else_five_seconds_and_a_minute_for_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    switch = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    monkeypatch.setenv(switch, "3")
    address.connect()
    with address.uploading():
        assert os.environ[switch] == "3"
    monkeypatch.delenv(switch)
    address.connect()
    assert os.environ[switch] == "5"
    with address.uploading():
        assert os.environ[switch] == "60"
    assert os.environ[switch] == "5"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"


@pytest.mark.parametrize("named", ["sqlite://", "mlruns", "file:///srv/mlruns", "htp://ann:x@example.com"])
def test_place_that_keeps_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", named)
    with pytest.raises(TrackingError) as refused:
        address.connect()
    said = str(refused.value)
    assert said.startswith("MLFLOW_TRACKING_URI: ")
    assert "is no place that runs are kept in; expected sqlite:///FILE, http://HOST:PORT, " in said
    assert "ann" not in said
    assert list(tmp_path.iterdir()) == []


def test_database_that_cannot_be_opened_is_left_after_some_seconds(  # K10
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}")  # a folder
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"does not do as asked \(unable to open database file\)$"):
        address.connect()
    assert time.monotonic() - began < 10


READ_ONLY = """
from waymark.errors import exit_with_sentence
from waymark.tracking import address

exit_with_sentence(lambda: address.experiment(address.connect(), "refused"))()
"""


@pytest.mark.slow
def test_database_that_may_not_be_written_is_said_and_mlflow_adds_nothing(
    tmp_path: Path, tracking_address: str
) -> None:
    address.connect()
    database = shutil.copy(tracking_address.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    with sqlite3.connect(database) as connection:  # root may write to any file, but not against a trigger
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON experiments BEGIN SELECT RAISE(FAIL, 'may not be written'); END"
        )
    own = {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"}
    done = subprocess.run([sys.executable, "-c", READ_ONLY], env=os.environ | own, capture_output=True, text=True)
    assert done.stderr == f"error: MLflow at sqlite:///{database} does not do as asked (may not be written)\n"


def test_file_that_is_no_database_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(TrackingError, match=r"does not do as asked \(file is not a database\)$"):
        address.connect()


def test_experiment_is_made_once_with_its_artefacts_beside_the_database(tracking_address: str) -> None:
    client = address.connect()
    first = address.experiment(client, "made-once")
    assert address.experiment(client, "made-once") == first
    kept = client.get_experiment(first)
    folder = Path(tracking_address.removeprefix("sqlite:///")).parent
    assert (kept.name, kept.artifact_location) == ("waymark-made-once", f"{folder}/mlartifacts")


def test_deleted_experiment_is_said_with_the_way_back(tracking_address: str) -> None:
    client = address.connect()
    deleted = address.experiment(client, "deleted")
    client.delete_experiment(deleted)
    with pytest.raises(TrackingError, match=f"restore it: `mlflow experiments restore --experiment-id {deleted}`"):
        address.experiment(client, "deleted")
