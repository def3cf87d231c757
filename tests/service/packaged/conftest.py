"""A workspace to package: this repository's code beside a model of three colours."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from waymark import paths

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120  # seconds on a busy machine; on a quiet one nothing here takes 5
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
WriteWorkspace = Callable[[Path], str]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def write_workspace(write_model: Callable[..., Path]) -> WriteWorkspace:
    """`write_workspace(folder)` writes what a package is made of; the model's version."""

    def write_workspace(folder: Path) -> str:
        write_model(folder, COLOURS, lineage={"commit": "c0ffee", "metrics": {"accuracy": 1.0}})
        for name in ("bentofile.yaml", "service.py", "requirements/serving.lock"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        return hashlib.sha256((folder / paths.CONTRACT).read_bytes()).hexdigest()[:12]

    return write_workspace


@pytest.fixture(scope="session")
def run() -> Run:
    """`run(folder, home, "bentoml", "list")`: a module as a command in `folder`, with BentoML's store in `home`."""

    def run(folder: Path, home: Path, *module: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", *module]
        environment = os.environ | {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)

    return run


@pytest.fixture(scope="session")
def wait_until_ready() -> Callable[[str], float]:
    """`wait_until_ready(url)`: the seconds that it took."""

    def wait_until_ready(url: str) -> float:
        began = time.monotonic()
        while time.monotonic() < began + PATIENCE:
            with suppress(requests.ConnectionError):
                if requests.get(f"{url}/readyz", timeout=PATIENCE).ok:
                    return time.monotonic() - began
            time.sleep(0.02)
        pytest.fail(f"{url} was not ready within {PATIENCE} s")

    return wait_until_ready


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
