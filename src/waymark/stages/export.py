"""export: write the ONNX file, prove that it answers as torch does, fit the temperature on val."""

import json
import logging

import numpy as np
import pandas as pd

from waymark import contract, params, paths
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.judging import metrics
from waymark.judging.calibration import fit_temperature
from waymark.learning import machine, onnx_export, weights
from waymark.params import Params
from waymark.predictor import Predictor

log = logging.getLogger(__name__)

MAX_DIFFERENCE = 1e-4  # of any class probability between torch and ONNX Runtime, whose kernels sum in another order
PARITY_IMAGES = 1024


def run(params: Params) -> None:
    machine.make_repeatable(0, params.threads)
    prepared = contract.read(paths.PREPARED_CONTRACT)
    model = weights.read(paths.WEIGHTS)
    onnx_export.export(model, prepared.image_size, paths.ONNX)
    hashes = {"weights_sha256": weights.sha256(paths.WEIGHTS), "onnx_sha256": weights.sha256(paths.ONNX)}
    untempered = prepared.completed(temperature=1.0, **hashes)

    images = np.load(paths.images("val"), mmap_mode="r")
    labels = pd.read_parquet(paths.rows("val"), columns=["label"])["label"].to_numpy(np.int64)
    logits = Predictor(paths.ONNX, untempered, params.threads).logits(images)
    torch_logits = onnx_export.logits(model, images[:PARITY_IMAGES], untempered)
    difference = np.abs(untempered.probabilities(torch_logits) - untempered.probabilities(logits[:PARITY_IMAGES])).max()
    if not difference <= MAX_DIFFERENCE:
        raise WaymarkError(
            f"{paths.ONNX}: probabilities differ from torch's by {difference:.2g}, over {MAX_DIFFERENCE}"
        )

    completed = prepared.completed(temperature=fit_temperature(logits, labels), **hashes)
    completed.write(paths.CONTRACT)
    summary = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "onnx_bytes": paths.ONNX.stat().st_size,
        "temperature": completed.temperature,
        "val": metrics.compute(completed.probabilities(logits), labels).rounded(),
    }
    paths.EXPORT.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    log.info("temperature %.4f; torch and ONNX Runtime differ by %.1e at most", completed.temperature, difference)


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
