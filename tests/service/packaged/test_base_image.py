"""scripts/base_image.py: what goes wrong is said in one sentence. test_container.py makes an image with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "base_image.py"


def failed(tmp_path: Path, path: str) -> str:
    """What it says where only the folder `path` has programs."""
    environment = os.environ | {"PATH": path, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(SCRIPT), "localhost/never:1", "--mirror", "file:///nowhere"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert not list(tmp_path.glob("waymark-base-*"))
    return done.stderr


def programs(folder: Path, **scripts: str) -> str:
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_a_program_that_is_missing_is_named_with_what_installs_it(tmp_path: Path) -> None:
    assert failed(tmp_path, str(tmp_path)) == (
        "error: debootstrap is not installed; on Debian: "
        "apt-get install debootstrap debian-archive-keyring gpgv podman buildah runc\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root")
@pytest.mark.skipif(
    not (shutil.which("debootstrap") and shutil.which("podman")),
    reason="apt-get install debootstrap podman",
)
def test_a_mirror_that_is_none_is_debootstraps_last_word(tmp_path: Path) -> None:
    said = failed(tmp_path, os.environ["PATH"])
    assert said.startswith("error: debootstrap: E: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["debootstrap", "tar", "podman"])
@pytest.mark.parametrize(
    ("script", "sentence"),
    [("exit 7", "it ended with 7 and said nothing"), ("echo one; echo two >&2; exit 1", "two")],
)
def test_each_step_that_fails_is_named_even_if_it_says_nothing(
    tmp_path: Path, name: str, script: str, sentence: str
) -> None:
    well = dict.fromkeys(("debootstrap", "gpgv", "tar", "podman"), "exit 0")
    assert failed(tmp_path, programs(tmp_path, **{**well, name: script})) == f"error: {name}: {sentence}\n"
