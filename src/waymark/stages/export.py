"""export: write the ONNX file, prove that it answers as torch does, fit temperature and threshold on val."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from waymark import contract, params, paths
from waymark.contract import Contract
from waymark.errors import WaymarkError, exit_with_sentence
from waymark.files import reading, replacing
from waymark.judging import metrics
from waymark.judging.abstention import fit_threshold
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
    with reading(paths.images("val")):
        images = np.load(paths.images("val"), mmap_mode="r")
    with reading(paths.rows("val")):
        rows = pd.read_parquet(paths.rows("val"), columns=["label", "group"])
    labels = rows["label"].to_numpy(np.int64)
    with replacing() as part:
        onnx = part(paths.ONNX)
        onnx_export.export(model, prepared.image_size, onnx)
        untempered = prepared.completed(
            temperature=1.0, weights_sha256=weights.sha256(paths.WEIGHTS), onnx_sha256=weights.sha256(onnx)
        )
        logits = Predictor(onnx, untempered, params.threads).logits(images)
        difference = parity(model, images, logits, untempered)
        completed, risk_promised = fit(untempered, logits, labels, rows["group"].to_numpy(), params.max_risk)
        completed.write(part(paths.CONTRACT))
        summary = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "onnx_bytes": onnx.stat().st_size,
            "temperature": completed.temperature,
            "threshold": completed.threshold,
            "risk_promised": round(risk_promised, 6),
            "val": metrics.compute(completed.probabilities(logits), labels, completed.threshold).rounded(),
        }
        part(paths.EXPORT).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    log.info("temperature %.4f; torch and ONNX Runtime differ by %.1e at most", completed.temperature, difference)
    log.info("not sure below %.4f; at most %.2f %% are answered and wrong", completed.threshold, 100 * risk_promised)


def fit(
    untempered: Contract,
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[np.generic],
    max_risk: float,
) -> tuple[Contract, float]:
    """The contract with temperature and threshold fitted to `logits`, and the risk that the threshold promises.

    The temperature counts images, the threshold `groups`, such as tracks: a temperature that counts groups, too, was
    further from calibrated on images that neither network nor temperature had seen.
    """
    tempered = replace(untempered, temperature=fit_temperature(logits, labels))
    probabilities = tempered.probabilities(logits)
    right = probabilities.argmax(axis=1) == labels
    threshold, risk_promised = fit_threshold(probabilities.max(axis=1), right, groups, max_risk)
    if risk_promised > max_risk:
        count = len(np.unique(groups))
        log.warning("warning: max_risk: %d groups of val promise %.2g at best, not %g", count, risk_promised, max_risk)
    return replace(tempered, threshold=threshold), risk_promised


def parity(model: nn.Module, images: NDArray[np.uint8], logits: NDArray[np.float32], untempered: Contract) -> float:
    """The largest difference of a probability between torch and `logits`, ONNX Runtime's answer to the same images.

    Raises WaymarkError where it is over MAX_DIFFERENCE.
    """
    torch_logits = onnx_export.logits(model, images[:PARITY_IMAGES], untempered)
    there, here = untempered.probabilities(torch_logits), untempered.probabilities(logits[:PARITY_IMAGES])
    difference = float(np.abs(there - here).max())
    if not difference <= MAX_DIFFERENCE:
        raise WaymarkError(
            f"{paths.ONNX}: probabilities differ from torch's by {difference:.2g}, over {MAX_DIFFERENCE}"
        )
    return difference


if __name__ == "__main__":
    exit_with_sentence(lambda: run(params.load()))()
