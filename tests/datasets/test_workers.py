"""Side by side, and none left behind: whatever ends the process that started a pool ends the pool."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = """
import time
from waymark.datasets.workers import pool
from waymark.errors import exit_with_sentence

def command():
    with pool(2) as processes:
        list(processes.map(time.sleep, [0, 0]))
        print(*processes._processes, flush=True)
        list(processes.map(time.sleep, [60] * 4))

if __name__ == "__main__":
    exit_with_sentence(command)()
"""


@pytest.fixture
def started() -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A command at work in two further processes, and their ids."""
    command = [sys.executable, "-c", SCRIPT]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=hear_ctrl_c
    )
    assert process.stdout
    workers = [int(number) for number in process.stdout.readline().split()]
    assert len(workers) == 2
    while not all(map(ignores_ctrl_c, workers)):  # one alone may have done both first tasks
        time.sleep(0.01)
    try:
        yield process, workers
    finally:
        for number in (process.pid, *workers):
            if alive(number):
                os.kill(number, signal.SIGKILL)
        process.communicate()


def hear_ctrl_c() -> None:
    """A shell lets what it starts in the background ignore it, and so would all that this starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ignores_ctrl_c(number: int) -> bool:
    status = Path(f"/proc/{number}/status").read_text(encoding="ascii")
    ignored = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored, 16) & 1 << signal.SIGINT - 1)


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 143, "stopped by SIGTERM\n"),
        (signal.SIGINT, 130, ""),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_signal_ends_a_command_and_all_of_its_processes(
    started: tuple["subprocess.Popen[str]", list[int]], number: int, code: int, said: str
) -> None:
    process, workers = started
    began = time.monotonic()
    if number == signal.SIGINT:  # as Ctrl-C does, to the whole group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(timeout=60) == code
    while any(map(alive, workers)) and time.monotonic() - began < 30:
        time.sleep(0.02)
    assert not any(map(alive, workers))
    assert time.monotonic() - began < 5
    assert process.stderr
    if number != signal.SIGKILL:  # of which Python's keeper of semaphores complains
        assert process.stderr.read() == said
