import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from waymark.datasets.drawing.canvas import Colour
from waymark.datasets.drawing.catalogue import SIGNS, drawing, template
from waymark.datasets.drawing.lettering import lettering
from waymark.datasets.drawing.pictograms import BLACK, RED, WHITE, YELLOW
from waymark.datasets.traffic_sign_names import CLASS_NAMES

SIZE = 64
PINNED = "5b8014b17398245391137684cc74cab8261aa4220235572ee9c946b0fb2f184a"


@pytest.fixture(scope="module")
def templates() -> list[NDArray[np.uint8]]:
    return [template(label, SIZE) for label in range(len(SIGNS))]


def colours(label: int) -> set[Colour]:
    return {shape.colour for shape in drawing(SIGNS[label])}


def test_there_are_43_classes_with_43_names() -> None:
    assert len(set(CLASS_NAMES)) == len(SIGNS) == 43
    assert CLASS_NAMES[0] == "Speed limit (20km/h)"
    assert CLASS_NAMES[14] == "Stop"
    assert CLASS_NAMES[42] == "End of no passing by vehicles over 3.5 metric tons"


def test_speed_limits_carry_the_number_of_their_name() -> None:
    for label in (0, 1, 2, 3, 4, 5, 6, 7, 8):
        assert f"({SIGNS[label].content}km/h)" in CLASS_NAMES[label]


def test_every_sign_fills_its_square_and_leaves_its_corners_clear(templates: list[NDArray[np.uint8]]) -> None:
    for label, picture in enumerate(templates):
        assert picture.shape == (SIZE, SIZE, 4)
        assert (picture[..., 3] >= 128).any(axis=0).sum() >= SIZE - 3, CLASS_NAMES[label]
        assert not picture[[0, 0, -1, -1], [0, -1, 0, -1], 3].any() or label == 13, CLASS_NAMES[label]


def test_no_two_signs_look_alike(templates: list[NDArray[np.uint8]]) -> None:
    for label, picture in enumerate(templates):
        for other, another in enumerate(templates[:label]):
            differing = np.abs(picture.astype(int) - another).max(axis=-1) > 60
            assert differing.mean() > 0.015, (CLASS_NAMES[label], CLASS_NAMES[other])


@pytest.mark.parametrize(("label", "other"), [(19, 20), (33, 34), (36, 37), (38, 39)])
def test_left_and_right_signs_are_mirror_images(templates: list[NDArray[np.uint8]], label: int, other: int) -> None:
    # Samples that fall on an edge go to one side of it, so a pixel of the edge may differ by a sample or two.
    difference = np.abs(templates[label].astype(int) - templates[other][:, ::-1])
    assert (difference.max(axis=-1) > 128).mean() < 0.005
    assert not np.array_equal(templates[label], templates[other])


@pytest.mark.parametrize(
    ("label", "column", "row", "colour"),
    [
        (1, 2, 32, RED),  # rim of a speed limit
        (12, 32, 32, YELLOW),  # priority road
        (13, 32, 22, WHITE),  # yield: open inside, red above
        (13, 32, 8, RED),
        (14, 32, 8, RED),  # stop
        (15, 32, 32, WHITE),  # no vehicles: nothing inside
        (17, 32, 32, WHITE),  # no entry: bar on red
        (17, 32, 12, RED),
        (18, 32, 30, BLACK),  # exclamation mark
        (35, 32, 40, WHITE),  # arrow on blue
    ],
)
def test_signs_have_the_colours_of_the_catalogue(
    templates: list[NDArray[np.uint8]], label: int, column: int, row: int, colour: Colour
) -> None:
    assert tuple(templates[label][row, column, :3].tolist()) == colour


def test_overtaken_vehicles_are_red_where_overtaking_is_forbidden_and_grey_where_it_ends() -> None:
    assert RED in colours(9)
    assert RED in colours(10)
    assert RED not in colours(41) | colours(42) | colours(6) | colours(32)


def test_lettering_fills_the_box_it_was_given() -> None:
    points = [point for shape in lettering("80", BLACK, 100, 80, 10) for point in shape.points]
    assert min(x for x, _ in points) == pytest.approx(-45, abs=1.5)
    assert max(y for _, y in points) == pytest.approx(35, abs=1.5)


def test_unknown_character_is_refused() -> None:
    with pytest.raises(KeyError, match="4"):
        lettering("40", BLACK, 100, 80, 10)


def test_templates_are_the_same_bytes_everywhere(templates: list[NDArray[np.uint8]]) -> None:
    assert hashlib.sha256(b"".join(picture.tobytes() for picture in templates)).hexdigest() == PINNED
