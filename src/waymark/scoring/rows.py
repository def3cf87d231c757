"""One row an image: what whoever answers, the model here or a service elsewhere, says of it."""

from typing import Any, Protocol

from waymark.errors import WaymarkError
from waymark.scoring.finding import Sent
from waymark.serving.limits import Limits
from waymark.serving.model import TOP

# path, label, class_name, probability, answered, threshold, top, error and model_version; what a refused image does
# not have is None, and so is the error of an answered one.
Row = dict[str, Any]


class Scorer(Protocol):
    """Safe to ask from several threads at once."""

    limits: Limits
    top: int  # classes named in each answer
    images_at_once: int
    bytes_at_once: int

    def rows(self, images: list[Sent]) -> list[Row]:
        """One row for each image, in their order. WaymarkError where there is no going on."""

    def close(self) -> None:
        """Give up what still waits."""


def answered(path: str, answer: dict[str, Any], version: str) -> Row:
    said = {key: answer[key] for key in ("label", "class_name", "probability", "answered", "threshold", "top")}
    return {"path": path, **said, "error": None, "model_version": version}


def refused(path: str, reason: str, message: str, version: str) -> Row:
    nothing = dict.fromkeys(("label", "class_name", "probability", "answered", "threshold", "top"))
    return {"path": path, **nothing, "error": {"reason": reason, "message": message}, "model_version": version}


def ranks(asked: int | None, classes: int) -> int:
    """How many classes each answer names; WaymarkError where there are not as many."""
    if asked is not None and not 1 <= asked <= classes:
        raise WaymarkError(f"--top {asked}: expected a number from 1 to {classes}, the classes that the model knows")
    return min(TOP, classes) if asked is None else asked
