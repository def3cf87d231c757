"""`make s3` and `make s3-stop`: what they start, write and leave."""

import configparser
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path, run: Callable[..., Any]) -> Iterator[Path]:
    """A folder with what the script needs of this repository; its server ends with the test."""
    repository = tmp_path / "repository"
    for name in ("scripts/s3.py", ".dvc/config", ".dvc/.gitignore"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, repository / name)
    run(repository, "git", "init", "--quiet")
    yield repository
    run(repository, sys.executable, "scripts/s3.py", "stop")


def test_server_starts_once_points_dvc_at_itself_and_stops(
    repository: Path, run: Callable[..., Any], unused_port: int
) -> None:
    start = (sys.executable, "scripts/s3.py", "start", "--port", str(unused_port))
    first = run(repository, *start).stdout
    secret = (repository / ".s3" / "secret").read_text()
    assert first.startswith(f"The S3 server runs on 127.0.0.1:{unused_port} ")
    assert f"export AWS_SECRET_ACCESS_KEY={secret}\n" in (repository / ".s3" / "env").read_text()
    assert secret not in first
    assert run(repository, *start).stdout.startswith(f"The S3 server runs already on 127.0.0.1:{unused_port} ")
    assert (repository / ".s3" / "data" / "waymark").is_dir()

    local = configparser.ConfigParser()
    local.read(repository / ".dvc" / "config.local")
    assert dict(local["'remote \"storage\"'"]) == {
        "endpointurl": f"http://127.0.0.1:{unused_port}",
        "region": "us-east-1",
        "configpath": "../.s3/aws_config",
        "access_key_id": "waymark",
        "secret_access_key": secret,
    }
    for path in (repository / ".dvc" / "config.local", repository / ".s3" / "secret", repository / ".s3" / "env"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    put = (sys.executable, "scripts/s3.py", "put", ".dvc/config", "some/object")
    assert run(repository, *put).stdout == "s3://waymark/some/object\n"
    stored = repository / ".s3" / "data" / "waymark" / "some" / "object"
    assert stored.read_bytes() == (repository / ".dvc" / "config").read_bytes()

    stop = (sys.executable, "scripts/s3.py", "stop")
    assert "has ended" in run(repository, *stop).stdout
    assert run(repository, *stop).stdout == "No S3 server of ours is running.\n"
    assert "start it with `make s3`" in run(repository, *put, check=False).stderr
    run(repository, *start)
    assert (repository / ".s3" / "secret").read_text() == secret


def test_stop_leaves_a_foreign_process_alone(repository: Path, run: Callable[..., Any]) -> None:
    (repository / ".s3").mkdir()
    (repository / ".s3" / "pid").write_text("1")
    assert run(repository, sys.executable, "scripts/s3.py", "stop").stdout == "No S3 server of ours is running.\n"


def test_configuration_for_another_s3_is_not_overwritten(
    repository: Path, run: Callable[..., Any], unused_port: int
) -> None:
    other = "['remote \"storage\"']\n    endpointurl = https://minio.example.com\n"
    (repository / ".dvc" / "config.local").write_text(other)
    refused = run(repository, sys.executable, "scripts/s3.py", "start", "--port", str(unused_port), check=False)
    assert refused.returncode == 1
    assert "error: .dvc/config.local names https://minio.example.com" in refused.stderr
    assert (repository / ".dvc" / "config.local").read_text() == other
