"""`auto` is the data set's own value; anything else is taken as it stands."""

from pathlib import Path

from waymark import params
from waymark.learning.recipes import Recipe, recipe

PARAMS = params.load(Path(__file__).resolve().parents[2] / "params.yaml")


def test_auto_mirrors_what_survives_a_mirror_and_nothing_else() -> None:
    flips = {name: recipe(PARAMS.model_copy(update={"dataset": name})).flip for name in ("rendered", "cifar10", "asl")}
    assert flips == {"rendered": False, "cifar10": True, "asl": False}


def test_a_value_that_is_given_counts() -> None:
    given = PARAMS.model_copy(update={"dataset": "cifar10", "epochs": 3, "augment_flip": "off"})
    assert recipe(given) == Recipe(epochs=3, flip=False)
