"""Starts the servers that are compared, each in processes of its own on a free port."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import stage_memory

from serving.clients import HOST

BENCHMARKS = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 10.0

GUNICORN = ("-m", "gunicorn", "serving.plain_flask:app", "--workers", "1", "--bind", f"{HOST}:{{port}}")
COMMANDS = {
    "waymark": ("-m", "bentoml", "serve", "--host", HOST, "--port", "{port}"),
    # sync is gunicorn's default; it closes each connection after its answer, gthread keeps them.
    "flask": GUNICORN,
    "flask-threads": (*GUNICORN, "--worker-class", "gthread", "--threads", "4"),
    # What `uvicorn` takes by itself where they are installed, named for the record.
    "fastapi": (
        *("-m", "uvicorn", "serving.plain_fastapi:app", "--host", HOST, "--port", "{port}"),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log"),
    ),
}


@dataclass
class Server:
    name: str
    port: int
    process: subprocess.Popen[bytes]
    seconds_to_start: float  # from the command to the first answer


@contextlib.contextmanager
def running(name: str, folder: Path, *, workers: int | None = None) -> Iterator[Server]:
    """The server `name` with the model under `folder`; its log is written there, too.

    `workers` is for ours, in place of what service.py says.
    """
    port = _free_port()
    command = [sys.executable, *(part.format(port=port) for part in COMMANDS[name])]
    own = {
        "BENTOML_HOME": str(folder / "bentoml"),  # its metrics lie there, and another's start empties them
        "BENTOML_DO_NOT_TRACK": "True",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(BENCHMARKS),
    }
    if workers:
        own["BENTOML_CONFIG_OPTIONS"] = f"services.waymark.workers={workers}"
    with (folder / f"{name}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | own, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(process, port)
            yield Server(name, port, process, time.perf_counter() - began)
        finally:
            _stop(process)


def processor_seconds(server: Server) -> float:
    """What the server's processes have used so far, of all cores together."""
    ticks = 0
    for process in stage_memory.family(server.process.pid):
        with contextlib.suppress(OSError):
            # The name may hold blanks; user and system time are fields 14 and 15: proc_pid_stat(5)
            fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def workers(server: Server) -> list[int]:
    """The processes of `bentoml serve` that answer."""
    found = []
    for process in stage_memory.family(server.process.pid):
        with contextlib.suppress(OSError):
            if b"_bentoml_impl.worker.service" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0"):
                found.append(process)
    return found


def descriptors(server: Server) -> int:
    """How many the server's processes have open."""
    return sum(len(list(Path(f"/proc/{process}/fd").iterdir())) for process in stage_memory.family(server.process.pid))


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Until the server answers anything at all."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{process.args!r} gave no answer within {START_SECONDS:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
