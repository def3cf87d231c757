"""The model that is explained: its ONNX file answers, its weights tell why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from waymark import paths
from waymark.contract import Contract
from waymark.errors import WaymarkError
from waymark.learning import attribution, weights
from waymark.serving import model
from waymark.serving.model import ServedModel

RANKED = 3  # classes of an answer


@dataclass(frozen=True)
class ExplainedModel:
    """`network` holds the weights that the served ONNX file was exported from; `export` proved that they agree."""

    served: ServedModel
    network: nn.Module

    @property
    def contract(self) -> Contract:
        return self.served.predictor.contract

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(N, S, S, 3) to (N, classes), by the ONNX file."""
        return self.contract.probabilities(self.served.predictor.logits(images))

    def answer(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """The service's answer to one image (S, S, 3)."""
        (answer,) = self.served.answers(self.served.predictor.logits(image[None]), RANKED)
        return answer

    def heat_maps(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """How much each pixel of each image (N, S, S, 3) speaks for its class of `labels`: (N, S, S)."""
        return attribution.heat_maps(self.network, self.contract.normalise(images), labels)


def load(root: Path) -> ExplainedModel:
    """The model under `root`, a repository after `dvc repro`.

    Raises WaymarkError where it is missing, or where weights, ONNX file and contract are not of one model.
    """
    torch.set_num_threads(1)  # another number sums in another order
    served = model.load(root, threads=1)
    path, expected = root / paths.WEIGHTS, served.predictor.contract.weights_sha256
    network = weights.read(path)
    if (found := weights.sha256(path)) != expected:
        raise WaymarkError(
            f"{path}: its SHA-256 {found[:12]}… is not the contract's {expected[:12]}…; run `dvc checkout` or "
            "`dvc repro`"
        )
    return ExplainedModel(served, network)
