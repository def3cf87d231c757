"""What a report has to know of one state of the repository: plain data, read by revisions.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from waymark.contract import Contract

Stages = Mapping[str, Mapping[str, Any]]  # as dvc.lock has them


@dataclass(frozen=True)
class Snapshot:
    """One revision, or the workspace. What it does not have, or what cannot be had here, is None or empty."""

    name: str  # as the person who asks calls it
    commit: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)  # what its stages ran with, and the keys that none reads
    stages: Stages = field(default_factory=dict)  # of dvc.lock
    metrics: Mapping[str, Any] | None = None
    split: Mapping[str, Any] | None = None
    archives: Mapping[str, Mapping[str, Any]] | None = None  # by name: bytes, sha256
    contract: Contract | None = None
    onnx_bytes: int | None = None
    predictions: pd.DataFrame | None = None
    absence: str = "predictions are not at hand"  # where these, or the contract, are None
    is_run: bool = True  # False where the figures are as committed, and no stage ran
    manifest: pd.DataFrame | None = None  # None also where the other state's is the same

    @property
    def dataset(self) -> str:
        return str(self.params.get("dataset", ""))


def outputs(stages: Stages) -> dict[str, str]:
    """DVC's hash of each file and folder that the stages of a dvc.lock wrote."""
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def sources(stages: Stages) -> dict[str, dict[str, str]]:
    """The hash that each stage's sources had: its dependencies that no stage wrote."""
    written = outputs(stages)
    return {
        name: {each["path"]: each["md5"] for each in stage.get("deps", []) if each["path"] not in written}
        for name, stage in stages.items()
    }


def parameters(stage: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage ran with."""
    return {key: value for of_file in stage.get("params", {}).values() for key, value in of_file.items()}
