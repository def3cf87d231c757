"""What a run, a commit and an experiment are recognised by: hashes that dvc.lock alone gives.

Every commit and every DVC experiment holds its dvc.lock, and each run carries the same hashes as tags: so one leads to
the other, and no run's id has to stand in a tracked file.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from waymark import paths

LOCK = Path("dvc.lock")
TRACK = "track"  # the stage that records; DVC writes its entry only after it ran
_OUTCOME = tuple(path.as_posix() for path in (paths.CONTRACT, paths.METRICS, paths.PREDICTIONS))


def lock_sha256(text: str) -> str:
    """Of what a dvc.lock says of all stages but `track`: commands, parameters, what they read and wrote.

    Raises ValueError where the text is no dvc.lock.
    """
    return _sha256({name: stage for name, stage in _stages(text).items() if name != TRACK})


def outcome_of_lock(text: str) -> str:
    """Of the model and its answers that a dvc.lock speaks of; '' where it has none.

    Two locks with one outcome differ in how they came to it, such as by a comment in the code.
    """
    outs = [out for stage in _stages(text).values() for out in stage.get("outs", ())]
    return _outcome({out["path"]: out["md5"] for out in outs if out["path"] in _OUTCOME})


def outcome_of_files(root: Path) -> str:
    """The same, of the files under `root`."""
    found = [path for path in _OUTCOME if (root / path).is_file()]
    return _outcome({path: hashlib.md5((root / path).read_bytes()).hexdigest() for path in found})


def dataset_of_lock(text: str) -> str:
    """'' where the stage that chooses it never ran."""
    collected = _stages(text).get("collect", {}).get("params", {}).get(paths.PARAMS.as_posix(), {})
    return str(collected.get("dataset", ""))


def lock_of_files(root: Path) -> str | None:
    """The dvc.lock under `root`, where it speaks of the files that are there; else None."""
    try:
        text = (root / LOCK).read_text(encoding="utf-8")
        return text if outcome_of_lock(text) == outcome_of_files(root) != "" else None
    except (OSError, ValueError):
        return None


def model_version(root: Path) -> str:
    """What the service calls the model under `root`, by its contract."""
    return hashlib.sha256((root / paths.CONTRACT).read_bytes()).hexdigest()[:12]


def _outcome(md5: Mapping[str, str]) -> str:
    return _sha256(md5) if len(md5) == len(_OUTCOME) else ""


@lru_cache(maxsize=1)  # several are asked of each of many revisions; to read one takes 15 ms
def _stages(text: str) -> dict[str, Any]:
    try:
        stages = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError("no dvc.lock") from error
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise ValueError("no dvc.lock")
    return stages


def _sha256(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
