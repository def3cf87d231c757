"""Where a model comes from: what dvc.lock, the reports and git say of the files that are served."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from waymark import paths

LOCK = Path("dvc.lock")
PACKAGED = Path("lineage.json")  # written into a package, where there is no git


def read(root: Path) -> dict[str, Any]:
    """The lineage of the model under `root`: `commit`, `parameters`, `data`, `metrics` and `card`.

    What is unknown is None: outside git the commit, and all but the commit where dvc.lock tells of another ONNX file
    than the one that is there, as after an `export` without an `evaluate`.
    """
    packaged = root / PACKAGED
    if packaged.is_file():
        document: dict[str, Any] = json.loads(packaged.read_text(encoding="utf-8"))
        return document
    return of_workspace(root)


def of_workspace(root: Path) -> dict[str, Any]:
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    document: dict[str, Any] = {
        "commit": commit,
        "changed": None if status is None else bool(status),  # whether files that git knows had uncommitted changes
        "parameters": None,
        "data": None,
        "metrics": None,
        "card": None,
    }
    stages = _stages(root)
    if stages is None:
        return document
    parameters = {
        key: value for stage in stages.values() for key, value in stage.get("params", {}).get("params.yaml", {}).items()
    }
    if "://" not in parameters["source"]:
        parameters["source"] = Path(parameters["source"]).name  # where it lies on this machine is nobody's business
    data = {
        out["path"]: out["md5"]
        for stage in stages.values()
        for out in stage.get("outs", [])
        if out["path"].startswith(("data/", "models/"))
    }
    return document | {
        "parameters": parameters,
        "data": data,
        "metrics": json.loads((root / paths.METRICS).read_text(encoding="utf-8")),
        "card": (root / paths.MODEL_CARD).read_text(encoding="utf-8"),
    }


def _stages(root: Path) -> dict[str, Any] | None:
    """The stages of dvc.lock, where it and the reports speak of the ONNX file that is there."""
    try:
        stages: dict[str, Any] = yaml.safe_load((root / LOCK).read_text(encoding="utf-8"))["stages"]
        judged = {dependency["path"]: dependency["md5"] for dependency in stages["evaluate"]["deps"]}
        reported = {out["path"]: out["md5"] for out in stages["evaluate"]["outs"]}
        told = judged | reported
        files = (paths.ONNX, paths.METRICS, paths.MODEL_CARD)
        same = all(hashlib.md5((root / path).read_bytes()).hexdigest() == told[path.as_posix()] for path in files)
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None
    return stages if same else None


def _git(root: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *command], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
