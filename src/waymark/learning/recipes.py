"""What `auto` in params.yaml means for each data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from waymark.params import Params

# Of GTSRB's classes: those that look the same in a mirror, and those whose mirror image is another class. An arrow to
# the left becomes one to the right; digits and the others become nothing that stands on a road.
_SAME_SIGN = (11, 12, 13, 15, 17, 18, 22, 26, 30, 35)
_OTHER_SIGN = ((19, 20), (33, 34), (36, 37), (38, 39))
_SIGNS = {sign: sign for sign in _SAME_SIGN} | dict(_OTHER_SIGN) | {right: left for left, right in _OTHER_SIGN}


@dataclass(frozen=True)
class Recipe:
    epochs: int
    flip: bool  # whether training images are mirrored
    mirrored: Mapping[int, int] | None = field(default=None)  # class of a mirror image; None: a mirror keeps each class

    def mirrors(self, classes: int) -> tuple[int, ...]:
        """The class of each class's mirror image, -1 where that is no class; () where no image is mirrored."""
        if not self.flip:
            return ()
        return tuple(label if self.mirrored is None else self.mirrored.get(label, -1) for label in range(classes))


_RECIPES = {
    "rendered": Recipe(epochs=5, flip=True, mirrored=_SIGNS),
    "gtsrb": Recipe(epochs=8, flip=True, mirrored=_SIGNS),
    "cifar10": Recipe(epochs=30, flip=True),
    "asl": Recipe(epochs=14, flip=False),
    "folder": Recipe(epochs=14, flip=False),
}


def recipe(params: Params) -> Recipe:
    """The data set's own values where `params` says auto, else what it says."""
    own = _RECIPES[params.dataset]
    return Recipe(
        epochs=own.epochs if params.epochs == "auto" else params.epochs,
        flip=own.flip if params.augment_flip == "auto" else params.augment_flip == "on",
        mirrored=own.mirrored,
    )
