"""Asks a running service for images in each way that it takes them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray

from serving.workspace import zipped

PATIENCE = 60  # seconds for one answer on a busy machine
TOGETHER = 100  # images in one request

Answer = dict[str, Any]


def ask(url: str, images: Sequence[bytes], boxes: Sequence[str], classes: int) -> dict[str, list[Answer]]:
    """The answers, which rank all `classes`, to `images` in their order, by way: raw, form, batch and zip.

    `boxes` has x1,y1,x2,y2 or "" for each image; a zip carries none. Raises RuntimeError where one is refused.
    """
    session, top = requests.Session(), {"top": classes}

    def post(path: str, query: dict[str, Any], **sent: Any) -> Any:
        response = session.post(f"{url}/{path}", params=top | query, timeout=PATIENCE, **sent)
        if not response.ok:
            raise RuntimeError(response.text)
        return response.json()

    said: dict[str, list[Answer]] = {way: [] for way in ("raw", "form", "batch", "zip")}
    for data, box in zip(images, boxes, strict=True):
        said["raw"].append(post("predict", {"roi": box}, data=data))
        said["form"].append(post("predict", {}, files={"image": data}, data={"roi": box}))
    for start in range(0, len(images), TOGETHER):
        some = slice(start, start + TOGETHER)
        form: list[tuple[str, Any]] = [("images", data) for data in images[some]]
        form += [("roi", (None, box)) for box in boxes[some]]
        members = {f"{number}.png": data for number, data in enumerate(images[some])}
        said["batch"] += post("predict_batch", {}, files=form)["results"]
        said["zip"] += post("predict_batch", {}, data=zipped(members))["results"]
    return said


def probabilities(answers: Sequence[Answer], classes: int) -> NDArray[np.float64]:
    """(N, classes) from answers that rank all classes."""
    found = np.zeros((len(answers), classes))
    for row, answer in zip(found, answers, strict=True):
        for ranked in answer["top"]:
            row[ranked["label"]] = ranked["probability"]
    return found
