"""One trial as it runs: `dvc exp run` in a folder of its own, what training tells of each epoch, and its end."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from waymark.tracking import live

PATIENCE = 15  # seconds for training to keep a checkpoint and for DVC to end, after they are asked to
_TOLD = 5  # lines of a log that a sentence repeats


class TrialProcess:
    """Belongs to `folder`, which begin() has to find made; beside it lie the trial's log, its epochs and its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self._epochs, self._lock = (
            folder.with_name(folder.name + end) for end in (".log", ".jsonl", ".lock")
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0  # bytes of the epochs
        self._asked = False

    def begin(self, experiment: str, overrides: Sequence[str], environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "dvc", "exp", "run", "--name", experiment]
        command += [word for override in overrides for word in ("--set-param", override)]
        self._epochs.unlink(missing_ok=True)
        own = {live.EPOCHS: str(self._epochs.resolve())}
        with self.log.open("wb") as log, self._lock.open("w") as lock, _interruptible():
            # DVC inherits the lock: whoever finds it free knows that the process is gone, whatever its number is now.
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=dict(environment) | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches it through end(), once
                pass_fds=(lock.fileno(),),
            )
            lock.write(str(self._process.pid))

    def epochs(self) -> Iterator[dict[str, float]]:
        """What training told since the last time."""
        if not self._epochs.is_file():
            return
        with self._epochs.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield json.loads(line)

    def returned(self) -> int | None:
        """The exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    def ask_to_end(self) -> None:
        """As Ctrl-C does, once: DVC waits for the stage, and the stage keeps what it has, unless it is asked again."""
        if self.returned() is None and self._process is not None and not self._asked:
            _signal(self._process.pid, signal.SIGINT)
            self._asked = True

    def end(self) -> None:
        """Ask, wait, and insist; at once where a person cannot wait, either."""
        self.ask_to_end()
        if self._process is None:
            return
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.returncode is None:
                _signal(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def end_orphan(self) -> None:
        """End what a sweep that was killed left running here; it goes on from its checkpoint."""
        if not self._lock.is_file():
            return
        with self._lock.open("r") as lock:
            for number in (signal.SIGINT, signal.SIGKILL):
                if _free(lock, 0):
                    return
                with suppress(ValueError):  # it was killed before the number stood there
                    _signal(int(lock.read() or ""), number)
                lock.seek(0)
                if _free(lock, PATIENCE):
                    return

    def said(self) -> str:
        """The last lines of the log."""
        with suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join([line for line in lines if line.strip()][-_TOLD:])
        return ""

    def clear(self, keep_log: bool = False) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (self._epochs, self._lock, *(() if keep_log else (self.log,))):
            path.unlink(missing_ok=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """A shell lets what runs in the background ignore Ctrl-C, and so would all below it: end() could not ask."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _free(lock: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
