"""The files of a run, laid out as in the workspace: a folder that was downloaded can be served as it is."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from waymark import paths
from waymark.contract import Contract
from waymark.serving import lineage

_REQUIREMENTS = ("numpy", "onnx", "onnxruntime")  # named, or MLflow would run the model to find out what it imports
_FILES = (
    *(paths.CLASS_PICTURES, paths.SPLIT_REPORT, paths.VALIDATION, paths.HISTORY, paths.EXPORT, paths.METRICS),
    *(paths.PREDICTIONS, paths.MODEL_CARD, paths.PLOTS, paths.PARAMS, lineage.LOCK),
)


def gather(root: Path, folder: Path, completed: Contract, origin: dict[str, Any]) -> None:
    """Copy what `root` has of them into `folder`, its models/ as an MLflow model of the flavour onnx."""
    _write_model(root, folder, completed)
    (folder / lineage.PACKAGED).write_text(json.dumps(origin, ensure_ascii=False), encoding="utf-8")
    for path in _FILES:
        found, target = root / path, folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, target)
        elif found.is_file():
            shutil.copyfile(found, target)


def _write_model(root: Path, folder: Path, completed: Contract) -> None:
    import mlflow.onnx
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    side, classes = completed.image_size, len(completed.class_names)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 3, side, side), "images")]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, classes), "logits")]),
    )
    mlflow.onnx.save_model(
        onnx.load(root / paths.ONNX),
        str(folder / paths.ONNX.parent),
        signature=signature,
        pip_requirements=[f"{package}=={version(package)}" for package in _REQUIREMENTS],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    for path in (paths.ONNX, paths.CONTRACT):  # byte for byte: the contract names the ONNX file's hash
        shutil.copyfile(root / path, folder / path)
