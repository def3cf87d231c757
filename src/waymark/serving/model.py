"""The model that answers: its ONNX file and contract, what is known of how it came to be, and its answers in words."""

import hashlib
import io
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from waymark import contract, paths
from waymark.predictor import Predictor
from waymark.serving import lineage
from waymark.serving.limits import Limits

TOP = 5  # classes that an answer ranks where nobody says how many
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # control groups, version 2: microseconds in each period, and the period


@dataclass(frozen=True)
class ServedModel:
    """A model that was checked against its contract."""

    predictor: Predictor
    contract_sha256: str  # of models/contract.json, which names the ONNX file, temperature and threshold
    lineage: dict[str, Any]  # metrics, card, commit, parameters and hashes of the data
    pictures: tuple[bytes, ...]  # PNG, one a class; empty where there are none

    @cached_property
    def name(self) -> str:
        return self.predictor.contract.dataset

    @cached_property
    def version(self) -> str:
        """The first twelve digits of the contract's SHA-256: other weights or another threshold, another version."""
        return self.contract_sha256[:12]

    @cached_property
    def identity(self) -> dict[str, str]:
        return {"name": self.name, "version": self.version}

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        return self.predictor.contract.class_names

    def description(self, limits: Limits) -> dict[str, Any]:
        """What /model tells: who answers, how good it is, and how it came to be."""
        known = self.predictor.contract
        return {
            **self.identity,
            "classes": known.class_names,
            "input": {key: getattr(known, key) for key in ("image_size", "crop_margin", "colour", "equalise")},
            "threshold": known.threshold,
            "temperature": known.temperature,
            "hashes": {
                "contract": self.contract_sha256,
                "onnx": known.onnx_sha256,
                "weights": known.weights_sha256,
                "split": known.split_sha256,
            },
            "limits": asdict(limits),
            **self.lineage,
        }

    def picture(self, label: int) -> bytes | None:
        """A picture of the class as PNG; None where there is none."""
        return self.pictures[label] if label < len(self.pictures) else None

    def answers(self, logits: NDArray[np.float32], top: int) -> list[dict[str, Any]]:
        """One answer for each row of `logits` (N, classes), with the `top` most probable classes."""
        probabilities = self.predictor.contract.probabilities(logits)
        return [self._answer(row, top) for row in probabilities]

    def _answer(self, probabilities: NDArray[np.float64], top: int) -> dict[str, Any]:
        order = np.argsort(-probabilities, kind="stable")[:top].tolist()
        ranked = [
            {
                "label": label,
                "class_name": self.class_names[label],
                "probability": round(probabilities[label].item(), 6),
            }
            for label in order
        ]
        threshold = self.predictor.contract.threshold
        answered = bool(probabilities[order[0]] >= threshold)
        return {**ranked[0], "answered": answered, "threshold": threshold, "top": ranked}


def cores() -> int:
    """Processor cores that this process may use: by its affinity where the system tells it, and a quota."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(min(usable, math.ceil(int(quota) / int(period))), 1)
    except (OSError, ValueError):  # no such file outside Linux; "max" without a quota
        return usable


def load(root: Path, threads: int) -> ServedModel:
    """The model under `root`, a repository after `dvc repro` or a package made of one.

    Raises WaymarkError where the model is missing, or is not the one that its contract was written for.
    """
    completed = contract.read(root / paths.CONTRACT)
    predictor = Predictor(root / paths.ONNX, completed, threads, spinning=False)
    sha256 = hashlib.sha256((root / paths.CONTRACT).read_bytes()).hexdigest()
    return ServedModel(predictor, sha256, lineage.read(root), tuple(_tiles(root / paths.CLASS_PICTURES)))


def _tiles(path: Path) -> Iterator[bytes]:
    """Each class's picture as PNG, out of the one image in which `prepare` lays them below each other."""
    if not path.is_file():
        return
    with Image.open(path, formats=("PNG",)) as sheet:
        for top in range(0, sheet.height, sheet.width):
            buffer = io.BytesIO()
            sheet.crop((0, top, sheet.width, top + sheet.width)).save(buffer, "PNG")
            yield buffer.getvalue()
