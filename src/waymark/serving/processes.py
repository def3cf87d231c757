"""What a worker of the service owes the process that started it."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent() -> None:
    """From now on SIGTERM comes when the parent is gone, even where it was killed and could tell nobody.

    A worker that is left behind keeps the port, and nobody looks after it. Only Linux can do this.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
