"""A real S3 server, emptied for each test that asks for it, and commands that run as on another machine."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import s3 as server  # noqa: E402

PATIENCE = 1200  # seconds for one command on a busy machine; the longest takes 100 on a quiet one
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Python = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class S3:
    """A running server with one bucket."""

    port: int
    key: str
    secret: str
    bucket: str
    data: Path  # the object s3://bucket/a/b is the file data/bucket/a/b

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a person exports to read s3:// sources from it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": server.REGION,
        }

    def client(self) -> Any:
        return server.client(self.port, self.key, self.secret)

    def point_dvc_at(self, repository: Path) -> None:
        """What `make s3` writes into .dvc/config.local."""
        server.point_dvc_at(repository, self.port, self.key, self.secret)


@pytest.fixture
def unused_port() -> int:
    return free_port()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    folder = tmp_path_factory.mktemp("s3")
    port, key, secret = free_port(), "tester", "a-secret-of-the-tests"
    process = server.serve(folder / "data", port, key, secret, folder / "server.log")
    try:
        yield S3(port, key, secret, server.BUCKET, folder / "data")
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """The session's server, its bucket empty."""
    client = s3_server.client()
    server.create_bucket(client, s3_server.bucket)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=s3_server.bucket):
        for thing in page.get("Contents", ()):
            client.delete_object(Bucket=s3_server.bucket, Key=thing["Key"])
    return s3_server


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command as on a machine of its own: `run(folder, "dvc", "pull")`; `home` names the machine."""
    machines = tmp_path_factory.mktemp("machines")

    def run(
        folder: Path, *command: str, home: str = "home", check: bool = True, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        place = machines / home
        place.mkdir(exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_", "GIT_"))}
        own = {
            "HOME": str(place),
            "XDG_CONFIG_HOME": str(place / "config"),
            "XDG_CACHE_HOME": str(place / "cache"),
            "DVC_SITE_CACHE_DIR": str(place / "site"),
            "DVC_NO_ANALYTICS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        for role in ("AUTHOR", "COMMITTER"):
            own |= {f"GIT_{role}_NAME": "Tester", f"GIT_{role}_EMAIL": "tester@example.com"}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(
            command, cwd=folder, env=inherited | own | environment, start_new_session=True, **pipes
        )
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the stage that DVC started, too
            raise
        if check and process.returncode != 0:
            pytest.fail(f"{' '.join(command)} ended with {process.returncode}:\n{stdout}{stderr}")
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    return run


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Python]:
    """`python(folder, "waymark.stages.train")`: `python -m …` in `folder`, without the seconds that imports take.

    Where `file_limit` is given, a write that would make a file larger than so many bytes fails, as on a full disk.
    """
    said = tmp_path_factory.mktemp("python")
    command = [sys.executable, str(Path(__file__).with_name("warm_python.py"))]
    own = os.environ | {"GX_ANALYTICS_ENABLED": "false"}  # as `waymark.judging.expectations` sets it before the import
    with subprocess.Popen(command, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        asked, answered = server.stdin, server.stdout
        assert asked
        assert answered

        def python(folder: Path, *arguments: str, file_limit: int | None = None) -> "subprocess.CompletedProcess[str]":
            stdout, stderr = said / "stdout", said / "stderr"
            for path in (stdout, stderr):
                path.unlink(missing_ok=True)
            request: dict[str, Any] = {"folder": str(folder), "arguments": arguments, "environment": dict(os.environ)}
            request |= {"stdout": str(stdout), "stderr": str(stderr), "file_limit": file_limit}
            asked.write(json.dumps(request) + "\n")
            asked.flush()
            returncode = int(answered.readline())
            return subprocess.CompletedProcess(arguments, returncode, stdout.read_text(), stderr.read_text())

        yield python
        asked.close()


@pytest.fixture
def clone(s3: S3, run: Run) -> Callable[[Path, Path], None]:
    """Clone a repository (its commits, nothing else) to a new folder and point its DVC at the server."""

    def clone(repository: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        run(target.parent, "git", "clone", "--quiet", str(repository), str(target))
        s3.point_dvc_at(target)

    return clone


@pytest.fixture(scope="module")
def copy_repository(run: Run) -> Callable[[Path], None]:
    """Copy this repository's tracked files, as they are in the working tree, into a folder."""

    def copy_repository(target: Path) -> None:
        for name in run(ROOT, "git", "ls-files", "-z").stdout.split("\0"):
            if name and (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target / name)

    return copy_repository


@pytest.fixture
def committed_copy(tmp_path: Path, run: Run, copy_repository: Callable[[Path], None]) -> Path:
    """A repository of its own, with what copy_repository brings as its one commit."""
    repository = tmp_path / "repository"
    repository.mkdir()
    copy_repository(repository)
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "Start")):
        run(repository, "git", *command)
    return repository
