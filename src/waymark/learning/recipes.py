"""What `auto` in params.yaml means for each data set."""

from dataclasses import dataclass

from waymark.params import Params


@dataclass(frozen=True)
class Recipe:
    epochs: int
    flip: bool  # whether a mirrored image keeps its class; an arrow to the left does not


_RECIPES = {
    "rendered": Recipe(epochs=12, flip=False),
    "gtsrb": Recipe(epochs=12, flip=False),
    "cifar10": Recipe(epochs=30, flip=True),
    "asl": Recipe(epochs=20, flip=False),
    "folder": Recipe(epochs=20, flip=False),
}


def recipe(params: Params) -> Recipe:
    """The data set's own values where `params` says auto, else what it says."""
    own = _RECIPES[params.dataset]
    return Recipe(
        epochs=own.epochs if params.epochs == "auto" else params.epochs,
        flip=own.flip if params.augment_flip == "auto" else params.augment_flip == "on",
    )
