"""Rows by the model of this repository, through the service's own decoder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from waymark.scoring.finding import Sent
from waymark.scoring.rows import Row, answered, ranks, refused
from waymark.serving import model, uploads
from waymark.serving.limits import LIMITS
from waymark.serving.uploads import Refusal


class LocalModel:
    """Each call decodes and answers on the caller's thread alone: as many at once as there are cores keep all busy."""

    images_at_once, bytes_at_once = 64, 4_000_000
    limits = LIMITS

    def __init__(self, root: Path, top: int | None) -> None:
        uploads.silence_pillow()
        self._model = model.load(root, threads=1)
        self.top = ranks(top, len(self._model.class_names))

    def rows(self, images: list[Sent]) -> list[Row]:
        cuts = [self._cut(image.data) for image in images]
        sound = [cut for cut in cuts if not isinstance(cut, Refusal)]
        logits = self._model.predictor.logits(np.stack(sound)) if sound else np.empty((0, 1), np.float32)
        answers = iter(self._model.answers(logits, self.top) if sound else [])
        version = self._model.version
        return [
            refused(image.path, cut.reason, str(cut), version)
            if isinstance(cut, Refusal)
            else answered(image.path, next(answers), version)
            for image, cut in zip(images, cuts, strict=True)
        ]

    def _cut(self, data: bytes | Refusal) -> NDArray[np.uint8] | Refusal:
        try:
            if isinstance(data, Refusal):
                return data
            return self._model.predictor.contract.image(uploads.picture(data, self.limits))
        except Refusal as refusal:
            return refusal

    def close(self) -> None:
        """Nothing waits."""
