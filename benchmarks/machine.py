"""What stands beside every number: the hardware it was measured on, and the versions."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def line(*packages: str) -> str:
    """One line: `packages` and Python with their versions, cores that this process may use, processor, memory."""
    software = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{software}; Python {platform.python_version()}; {_cores()} cores, {_processor()}, {_memory_gib():.0f} GiB"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """The processor's own name where the system tells it, and its architecture."""
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        facts = ""
    names = [text.partition(":")[2].strip() for text in facts.splitlines() if text.startswith("model name")]
    return " ".join([*names[:1], platform.machine()])


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
