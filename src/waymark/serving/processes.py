"""What a worker of the service owes the process that started it."""

import ctypes
import os
import signal
import sys

MASTER = "WAYMARK_MASTER"  # environment variable with the process id of what starts the workers
PR_SET_PDEATHSIG = 1  # prctl(2)


def begin_master() -> None:
    """Before any worker starts: leave word of who started it."""
    os.environ[MASTER] = str(os.getpid())


def end_with_master() -> None:
    """In a worker: from now on SIGTERM comes when the master is gone, even where it was killed and could tell nobody.

    It comes at once where the master went while the worker was starting. A worker that is left behind keeps the port,
    and nobody looks after it. Only Linux can do this.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.environ.get(MASTER, str(os.getppid())) != str(os.getppid()):
            os.kill(os.getpid(), signal.SIGTERM)
