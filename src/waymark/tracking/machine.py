"""Facts of the machine that made a model, in words: what else the same code may give other bits by."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("numpy", "onnxruntime", "pytorch-lightning", "timm", "torch")


def facts() -> dict[str, str]:
    """Processor, cores, memory, graphics cards, system, and the versions of the libraries that compute."""
    known = {
        "processor": processor(),
        "cores": str(os.cpu_count() or ""),
        "memory_gib": memory_gib(),
        "gpu": _graphics(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known


def processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # outside Linux
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def memory_gib() -> str:
    """In whole GiB, where the system tells it."""
    try:
        return str(round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30))
    except (AttributeError, ValueError, OSError):
        return ""


def _graphics() -> str:
    """As NVIDIA's own tool lists them; importing torch to ask would take a second."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(done.stdout.split("\n")).strip(", ")
