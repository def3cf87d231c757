"""The DVC remote on a real S3 server: what is pushed comes back, whole or with a complaint."""

import hashlib
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GRAPH = """\
stages:
  draw:
    cmd: python -c "open('drawn.bin', 'wb').write(open('seed.txt', 'rb').read() * 1000)"
    deps: [seed.txt]
    outs: [drawn.bin]
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def pushed(s3: Any, run: Callable[..., Any], tmp_path: Path) -> Path:
    """A repository of one stage under this project's own DVC settings, its output pushed."""
    repository = tmp_path / "repository"
    (repository / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, repository / name)
    (repository / "dvc.yaml").write_text(GRAPH)
    (repository / "seed.txt").write_text("a seed\n")
    run(repository, "git", "init", "--quiet")
    s3.point_dvc_at(repository)
    run(repository, "dvc", "repro", "--quiet")
    run(repository, "git", "add", ".")
    run(repository, "git", "commit", "--quiet", "--message", "Draw")
    run(repository, "dvc", "push", "--quiet")
    return repository


def remote_object(data: Path, content: bytes) -> Path:
    digest = hashlib.md5(content).hexdigest()
    return data / "waymark" / "dvc" / "files" / "md5" / digest[:2] / digest[2:]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_fresh_clone_pulls_and_runs_no_stage(
    pushed: Path, clone: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    clone(pushed, fresh)
    assert not (fresh / "drawn.bin").exists()
    run(fresh, "dvc", "pull", home="elsewhere")
    assert (fresh / "drawn.bin").read_bytes() == b"a seed\n" * 1000
    assert "'draw' didn't change, skipping" in run(fresh, "dvc", "repro", home="elsewhere").stdout
    assert run(fresh, "dvc", "status", home="elsewhere").stdout == "Data and pipelines are up to date.\n"
    assert run(fresh, "git", "status", "--porcelain").stdout == ""


def test_flipped_byte_in_the_remote_is_caught_by_pull(
    pushed: Path, s3: Any, clone: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    stored = remote_object(s3.data, b"a seed\n" * 1000)
    whole = stored.read_bytes()
    flip_a_byte(stored)
    fresh = tmp_path / "fresh"
    clone(pushed, fresh)
    refused = run(fresh, "dvc", "pull", home="elsewhere", check=False)
    assert refused.returncode != 0
    assert "drawn.bin" in refused.stderr
    assert not (fresh / "drawn.bin").exists()

    stored.write_bytes(whole)  # what pull refused must not stand in the way of the good object
    run(fresh, "dvc", "pull", home="elsewhere")
    assert (fresh / "drawn.bin").read_bytes() == b"a seed\n" * 1000


def test_60_mb_file_comes_back_from_a_server_that_was_not_restarted(
    pushed: Path, clone: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    """rclone answers ranged reads of 50 to 100 MiB with the whole object's checksum."""
    content = random.Random(0).randbytes(60_000_000)
    (pushed / "large.bin").write_bytes(content)
    run(pushed, "dvc", "add", "--quiet", "large.bin")
    run(pushed, "git", "add", "large.bin.dvc", ".gitignore")
    run(pushed, "git", "commit", "--quiet", "--message", "Add a large file")
    run(pushed, "dvc", "push", "--quiet")
    fresh = tmp_path / "fresh"
    clone(pushed, fresh)
    run(fresh, "dvc", "pull", home="elsewhere")
    assert (fresh / "large.bin").read_bytes() == content


def test_flipped_byte_in_the_cache_is_named_and_a_pull_heals_it(pushed: Path, run: Callable[..., Any]) -> None:
    """DVC itself believes its cache: `dvc checkout` hands the damaged bytes out and `dvc status` is content."""
    check = (sys.executable, str(ROOT / "scripts" / "check_cache.py"))
    assert run(pushed, *check).stdout == "1 objects in the cache, all whole\n"
    (stored,) = (pushed / ".dvc" / "cache" / "files" / "md5").glob("??/*")
    flip_a_byte(stored)
    (pushed / "drawn.bin").unlink()
    run(pushed, "dvc", "checkout")

    found = run(pushed, *check, check=False)
    assert found.returncode == 1
    assert f"drawn.bin: its copy in the cache is damaged: {stored}\n" in found.stdout
    assert "drawn.bin: differs from what dvc.lock records\n" in found.stdout

    stored.unlink()
    (pushed / "drawn.bin").unlink()
    run(pushed, "dvc", "pull")
    assert (pushed / "drawn.bin").read_bytes() == b"a seed\n" * 1000
    run(pushed, *check)
