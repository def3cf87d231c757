"""The shipped model: an ONNX file and its contract, run by ONNX Runtime. No torch."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from waymark.contract import Contract
from waymark.errors import WaymarkError

BATCH = 256  # images at a time; larger batches were no faster on 2 cores and memory grows with them


class Predictor:
    """Logits for prepared images, from the file that the service loads.

    Raises WaymarkError where the ONNX file is missing or is not the one that the contract was written for.
    """

    def __init__(self, onnx: Path, contract: Contract, threads: int, *, spinning: bool = True) -> None:
        """`spinning`: idle threads wait busily, quicker for one long run, but it starves whatever runs beside it."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # after the switch above, which it reads when it is imported

        try:
            model = onnx.read_bytes()
        except OSError as error:
            raise WaymarkError(f"{onnx}: cannot be read ({error.strerror}); `dvc repro` makes it") from None
        if (found := hashlib.sha256(model).hexdigest()) != contract.onnx_sha256:
            raise WaymarkError(
                f"{onnx}: its SHA-256 {found[:12]}… is not the contract's {contract.onnx_sha256[:12]}…; "
                "run `dvc checkout` or `dvc repro`"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        self.contract = contract
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        side, classes = self.session.get_inputs()[0].shape[-1], self.session.get_outputs()[0].shape[-1]
        if (side, classes) != (contract.image_size, len(contract.class_names)):
            raise WaymarkError(
                f"{onnx}: takes images of {side} px to {classes} classes, the contract names {contract.image_size} px "
                f"and {len(contract.class_names)} classes; run `dvc repro`"
            )

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S, 3) uint8 to (N, classes), a batch at a time; `images` may be memory-mapped."""
        return np.concatenate(list(self._batches(images)))

    def _batches(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(images), BATCH):
            (logits,) = self.session.run(None, {"images": self.contract.normalise(images[start : start + BATCH])})
            yield np.asarray(logits, np.float32)
