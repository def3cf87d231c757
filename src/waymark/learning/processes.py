"""Several processes that learn as one: Lightning starts this command anew for each further device.

The first of them reports, keeps checkpoints and writes what comes of it; the others only compute.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from waymark.errors import Stopped, WaymarkError

# What Lightning, torchrun and SLURM tell a process of its place; the first has 0 or nothing in each.
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")


def first() -> bool:
    return all(int(os.environ.get(name) or 0) == 0 for name in RANKS)


def started_here() -> bool:
    """Whether another process of this machine comes before this one, and tells what there is to tell."""
    return int(os.environ.get("LOCAL_RANK") or 0) > 0


@contextmanager
def following() -> Iterator[None]:
    """For every process but the first: silent, and ended with the process that started it."""
    if started_here():
        for name in ("waymark", "__main__"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        yield
    except (WaymarkError, Stopped):
        # All processes meet it in one step; Lightning would kill the first, which is telling it, for another exit code.
        if not started_here():
            raise


def _end_with(parent: int) -> None:
    # A process that waits for a killed one would, before they are connected, wait for half an hour.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
