"""`make ui`: MLflow's pages on this machine alone, or the address of the MLflow that runs already."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "ui.py"
PATIENCE = 120  # seconds for MLflow to start on a busy machine

pytestmark = pytest.mark.slow


def ui(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_server_that_runs_already_is_named_without_its_password() -> None:
    done = ui(MLFLOW_TRACKING_URI="https://ann:geheim@mlflow.example.com")
    assert (done.returncode, done.stdout) == (0, "MLflow runs already: open https://mlflow.example.com\n")


def test_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ui("--port", str(port))
    sentence = f"error: port {port}: cannot be used (Address already in use); name another, as in make ui PORT=5001\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.long
def test_pages_open_and_end_with_ctrl_c(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    own = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    command = [sys.executable, str(SCRIPT), "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | own, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith(f"In some seconds, open http://127.0.0.1:{port}/#/experiments/")
        assert process.stdout.readline() == (
            "There, click a run, then Model metrics for its curves; tick two and press Compare.\n"
        )
        deadline = time.monotonic() + PATIENCE
        page = ""
        while not page and time.monotonic() < deadline and process.poll() is None:
            with suppress(requests.ConnectionError):
                page = requests.get(f"http://127.0.0.1:{port}", timeout=PATIENCE).text
            time.sleep(0.1)
        assert "<title>MLflow</title>" in page
        process.send_signal(signal.SIGINT)
        process.wait(timeout=PATIENCE)
    finally:
        process.kill()
