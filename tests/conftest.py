"""A Kaggle on loopback that answers what kagglehub asks: which version is published, where its archive is, and that."""

import base64
import hashlib
import http.server
import io
import json
import os
import random
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Two processes run the tests on two cores (`make test`), and no tensor of theirs is worth more than one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, or one of two processes waits at the end for the other."""
    items.sort(key=lambda item: "pipeline" not in item.path.parts)


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("member"), content)
    return buffer.getvalue()


class Kaggle(http.server.ThreadingHTTPServer):
    """Publishes data sets by owner/name, with the faults that a test sets."""

    refusal: int | None = None  # status of every answer of the API
    refuses_downloads_only = False
    says_instead: bytes | None = None  # body of every answer of the API, all of them with status 200
    stated_md5: str | None = None  # in place of the true one, as the header has it; "" states none
    break_after: int | None = None  # bytes of each response after which the connection is cut
    takes_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.archives: dict[str, dict[int, bytes]] = {}  # owner/name: {version: archive}; the last one is current
        self.asked: list[str] = []  # GetDataset, DownloadDataset, and the range of each read of an archive
        self.headers_seen: list[dict[str, str]] = []
        self.sent = 0  # bytes of archives

    def publish(self, name: str, version: int, size: int = 300_000) -> bytes:
        """A new version of `name`; its content follows from its number."""
        content = zipped(random.Random(f"{name} {version}").randbytes(size))
        self.archives.setdefault(name, {})[version] = content
        return content

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news here."""


class Answer(http.server.BaseHTTPRequestHandler):
    server: Kaggle
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        kaggle, call = self.server, self.path.rpartition("/")[2]
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kaggle.asked.append(call)
        kaggle.headers_seen.append(dict(self.headers))
        name = f"{request['ownerSlug']}/{request['datasetSlug']}"
        versions = kaggle.archives.get(name, {})
        version = request.get("datasetVersionNumber") or max(versions, default=0)
        if kaggle.says_instead is not None:
            self.answer(200, kaggle.says_instead)
        elif kaggle.refusal and not (kaggle.refuses_downloads_only and call == "GetDataset"):
            self.answer(kaggle.refusal, {"code": kaggle.refusal, "message": "no"})
        elif version not in versions:
            self.answer(404, {"code": 404, "message": "not found"})
        elif call == "GetDataset":
            self.answer(200, {"ref": name, "currentVersionNumber": version, "totalBytes": len(versions[version])})
        else:
            self.send_response(302)
            self.send_header("Location", f"/storage/{name}/{version}?X-Goog-Signature=hidden")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def answer(self, status: int, document: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if body.startswith(b"<") else "application/json; charset=utf-8")
        self.send_header("X-Kaggle-HubVersion", "99.0.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kaggle = self.server
        owner, name, version = self.path.partition("?")[0].removeprefix("/storage/").split("/")
        content = kaggle.archives[f"{owner}/{name}"][int(version)]
        asked = self.headers.get("Range")
        kaggle.asked.append(asked or "all")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and kaggle.takes_ranges else 0
        md5 = (
            base64.b64encode(hashlib.md5(content).digest()).decode() if kaggle.stated_md5 is None else kaggle.stated_md5
        )
        if start >= len(content):
            self.answer(416, {"message": "Requested range not satisfiable"})
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if md5:
            self.send_header("x-goog-hash", f"crc32c=n03x6A==,md5={md5}")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = content[start:][: kaggle.break_after]
        self.wfile.write(body)
        kaggle.sent += len(body)
        if kaggle.break_after is not None:
            time.sleep(0.05)  # the client drops what it has not read when the connection ends
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session", autouse=True)
def tracking_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One MLflow database for all that the tests run: to make its tables takes a second."""
    folder = tmp_path_factory.mktemp("mlflow")
    address = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield address


@pytest.fixture
def no_kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person without Kaggle credentials, and a Kaggle at a port where nobody listens."""
    import kagglehub.clients
    from kagglesdk import kaggle_env

    from waymark.datasets import kaggle

    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # kagglehub knows Kaggle's own addresses only; the one it calls local is sent to this machine's port.
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, "http://127.0.0.1:1")
    monkeypatch.setattr(kaggle, "PAUSE", 0.001)
    monkeypatch.setattr(kagglehub.clients, "CHUNK_SIZE", 4096)  # what a cut connection costs at most; 1 MiB otherwise


@pytest.fixture
def kaggle_server(no_kaggle: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    from kagglesdk import kaggle_env

    with Kaggle() as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, endpoint)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
