"""States of a repository to compare: built in memory, and as real revisions of a real git and DVC repository."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from waymark.contract import Contract
from waymark.reporting.snapshot import Snapshot

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("Speed limit (20km/h)", "Stop", "Yield", "No entry")
FRAMES = 5  # of a track

Build = Callable[..., Snapshot]


def predictions(wrong: Sequence[int], images: int = 120, members: Sequence[str] = ()) -> pd.DataFrame:
    """The answers of a model that takes the images in `wrong` for the next class; the tracks have FRAMES frames."""
    rows = pd.DataFrame({"row": range(images)})
    rows["archive"] = "test.zip"
    rows["member"] = [*members, *(f"Images/{row:05d}.ppm" for row in range(len(members), images))][:images]
    rows["label"] = (rows["row"] // FRAMES % len(CLASSES)).astype("int16")
    rows["group"] = [f"track_{row // FRAMES:03d}" for row in range(images)]
    rows["part"] = ""
    rows["pixels_sha256"] = [digest(f"picture {row}") for row in range(images)]
    is_wrong = rows["row"].isin(wrong)
    rows["predicted"] = ((rows["label"] + is_wrong) % len(CLASSES)).astype("int64")
    rows["confidence"] = 0.9 - rows["row"] / 1000
    rows["probability_of_label"] = rows["confidence"].where(~is_wrong, 0.05)
    rows["brier_score"] = 2 * (1 - rows["probability_of_label"]) ** 2
    return rows.drop(columns="row")


def manifest(images: int, **changed: Mapping[int, str]) -> pd.DataFrame:
    """`images` training images; `changed` says of a column which rows have another value."""
    rows = range(images)
    table = pd.DataFrame(
        {
            "archive": "train.zip",
            "member": [f"Images/{row:05d}.ppm" for row in rows],
            "class_name": [CLASSES[row % len(CLASSES)] for row in rows],
            "split": "train",
            "bytes_sha256": [digest(f"bytes {row}") for row in rows],
            "pixels_sha256": [digest(f"training picture {row}") for row in rows],
        }
    )
    for column, values in changed.items():
        for row, value in values.items():
            table.loc[row, column] = value
    return table


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def stage(command: str, deps: Mapping[str, str], params: Mapping[str, Any], outs: Mapping[str, str]) -> dict[str, Any]:
    """An entry of dvc.lock."""
    return {
        "cmd": command,
        "deps": [{"path": path, "md5": md5} for path, md5 in deps.items()],
        "params": {"params.yaml": dict(params)},
        "outs": [{"path": path, "md5": md5} for path, md5 in outs.items()],
    }


@pytest.fixture(scope="session")
def build() -> Build:
    return _build


@pytest.fixture(scope="session")
def build_manifest() -> Callable[..., pd.DataFrame]:
    return manifest


def _build(
    name: str = "the workspace",
    wrong: Sequence[int] = (),
    *,
    lr: float = 0.1,
    class_names: Sequence[str] = CLASSES,
    members: Sequence[str] = (),
    **changed: Any,
) -> Snapshot:
    """A state whose graph ran with `lr`, with any field of Snapshot `changed`."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"dataset": "folder", "source": "signs.zip", "lr": lr, "gate_min_accuracy": 0.9, "seed_std": 0.002}
    answers = predictions(wrong, members=members)
    right = float((answers["label"] == answers["predicted"]).mean())
    contract = Contract("folder", tuple(class_names), 16, 0.1, (0.5,) * 3, (0.2,) * 3, threshold=0.8)
    model = digest(f"model {lr}")
    train = {"src/waymark/learning/network.py": "a1" * 16, "data/prepared": "d0" * 16 + ".dir"}
    snapshot = Snapshot(
        name=name,
        params=params,
        stages={
            "prepare": stage("prepare", {}, {"dataset": "folder"}, {"data/prepared": "d0" * 16 + ".dir"}),
            "train": stage("train", train, {"lr": lr}, {"models/model.onnx": model[:32]}),
            "evaluate": stage("evaluate", {"models/model.onnx": model[:32]}, {}, {"reports/metrics.json": model[32:]}),
        },
        metrics={
            "images": len(answers),
            "accuracy": round(right, 6),
            "min_class_recall": 0.8,
            "expected_calibration_error": 0.03,
            "split_sha256": digest("split"),
        },
        contract=replace(contract, onnx_sha256=model),
        onnx_bytes=2_824_356,
        predictions=answers,
    )
    return replace(snapshot, **changed)
