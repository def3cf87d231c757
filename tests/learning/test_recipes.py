"""`auto` is the data set's own value; anything else is taken as it stands."""

from pathlib import Path

from waymark import params
from waymark.datasets.traffic_sign_names import CLASS_NAMES
from waymark.learning.recipes import Recipe, recipe

PARAMS = params.load(Path(__file__).resolve().parents[2] / "params.yaml")


def test_auto_mirrors_what_survives_a_mirror_and_nothing_else() -> None:
    flips = {name: recipe(PARAMS.model_copy(update={"dataset": name})).flip for name in ("rendered", "cifar10", "asl")}
    assert flips == {"rendered": True, "cifar10": True, "asl": False}


def test_a_mirrored_sign_is_the_sign_that_it_shows_then() -> None:
    mirrors = recipe(PARAMS.model_copy(update={"dataset": "gtsrb"})).mirrors(len(CLASS_NAMES))
    for label, name in enumerate(CLASS_NAMES):
        mirrored = name.replace("left", "?").replace("right", "left").replace("?", "right")
        if mirrored != name and mirrored in CLASS_NAMES:
            assert CLASS_NAMES[mirrors[label]] == mirrored
        else:
            assert mirrors[label] in (-1, label)
    for name in ("Stop", "Speed limit (20km/h)", "Roundabout mandatory", "Road narrows on the right"):
        assert mirrors[CLASS_NAMES.index(name)] == -1
    assert mirrors[CLASS_NAMES.index("Priority road")] == CLASS_NAMES.index("Priority road")


def test_a_mirrored_photograph_keeps_its_class() -> None:
    assert recipe(PARAMS.model_copy(update={"dataset": "cifar10"})).mirrors(3) == (0, 1, 2)
    assert recipe(PARAMS.model_copy(update={"dataset": "asl"})).mirrors(3) == ()


def test_a_value_that_is_given_counts() -> None:
    given = PARAMS.model_copy(update={"dataset": "cifar10", "epochs": 3, "augment_flip": "off"})
    assert recipe(given) == Recipe(epochs=3, flip=False)
