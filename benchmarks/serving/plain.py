"""The same model in an endpoint as most people write one: what our service is measured beside.

Flask and FastAPI each with its own form parser and JSON, the image opened by Pillow, one image at a time.
"""

from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from waymark import contract, paths
from waymark.predictor import Predictor
from waymark.serving.model import cores

TOP = 5


class Model:
    """The model under `root`, with the threads and the waiting that our service gives ONNX Runtime."""

    def __init__(self, root: Path) -> None:
        self.contract = contract.read(root / paths.CONTRACT)
        threads = cores()
        self.predictor = Predictor(root / paths.ONNX, self.contract, threads, spinning=False)

    def answer(self, file: IO[bytes]) -> dict[str, Any]:
        image = self.contract.image(Image.open(file).convert("RGB"))
        probabilities = self.contract.probabilities(self.predictor.logits(image[None]))[0]
        order = np.argsort(-probabilities)[:TOP].tolist()
        names = self.contract.class_names
        top = [{"label": i, "class_name": names[i], "probability": float(probabilities[i])} for i in order]
        return {**top[0], "top": top}
