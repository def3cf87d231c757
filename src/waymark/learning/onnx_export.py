"""From a torch network to one ONNX file."""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from waymark.contract import Contract

PARITY_BATCH = 256


def export(model: nn.Module, image_size: int, path: Path) -> None:
    """Write `model` with input `images`, (N, 3, S, S) float32, and output `logits`, for any N.

    Weights stay inside the file. The same weights give the same bytes, in whatever folder this code lies.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # its notes on opset conversion do not concern a user
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model.eval(),
            (torch.zeros(2, 3, image_size, image_size),),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None  # dynamo=True returns the program
    # The exporter notes at each node its place in the source files, with this machine's absolute paths.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.save(path, external_data=False)


@torch.inference_mode()
def logits(model: nn.Module, images: NDArray[np.uint8], contract: Contract) -> NDArray[np.float32]:
    """Torch's own answer to (N, S, S, 3) uint8 images: what the ONNX file's is held against."""
    model.eval()
    batches = (images[i : i + PARITY_BATCH] for i in range(0, len(images), PARITY_BATCH))
    return np.concatenate([model(torch.from_numpy(contract.normalise(batch))).numpy() for batch in batches])
