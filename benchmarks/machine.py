"""What stands beside every number: the hardware it was measured on, and the versions."""

import os
import platform
from importlib.metadata import version

from waymark.tracking.machine import memory_gib, processor


def line(*packages: str) -> str:
    """One line: `packages` and Python with their versions, cores that this process may use, processor, memory."""
    software = ", ".join(f"{name} {version(name)}" for name in packages)
    hardware = f"{_cores()} cores, {processor()} {platform.machine()}, {memory_gib()} GiB"
    return f"{software}; Python {platform.python_version()}; {hardware}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
