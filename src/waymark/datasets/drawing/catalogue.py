"""The signs of the 43 classes of GTSRB, as drawings.

The signs follow the German catalogue (Katalog der Verkehrszeichen, VzKat): shape, rim, colours and pictogram of each.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waymark.datasets.drawing import pictograms
from waymark.datasets.drawing.canvas import SPAN, Colour, Point, arc, disc, fill, mirrored, paint, recoloured, stroke
from waymark.datasets.drawing.lettering import lettering
from waymark.datasets.drawing.pictograms import BLACK, RED, WHITE, YELLOW, Drawing

BLUE: Colour = (0, 82, 160)
GREY: Colour = (112, 114, 116)


@dataclass(frozen=True)
class Sign:
    """A plate and what stands on it: a text, a pictogram, or nothing."""

    plate: Callable[[], Drawing]
    content: str | Callable[[], Drawing] = ""
    mirror: bool = False


def template(label: int, size: int = 256) -> NDArray[np.uint8]:
    """The sign of class `label`, seen straight on, filling its square: (size, size, 4) uint8.

    Red, green and blue are already multiplied by coverage, which is the fourth channel.
    """
    return paint(drawing(SIGNS[label]), size)


def drawing(sign: Sign) -> Drawing:
    """The sign's shapes, in the order in which they are painted."""
    content = sign.content() if callable(sign.content) else _text(sign.content, sign.plate)
    if sign.plate is _derestriction:
        grey = recoloured(content, {BLACK: GREY, RED: GREY})
        return (*sign.plate(), *grey, *_bars())
    shapes = (*sign.plate(), *content)
    return mirrored(shapes) if sign.mirror else shapes


def _text(text: str, plate: Callable[[], Drawing]) -> Drawing:
    if plate is _octagon:
        return lettering(text, WHITE, 150, 62, 13)
    return lettering(text, BLACK, 124 if len(text) == 3 else 102, 78, 15)


def _prohibition() -> Drawing:
    return (disc(0, 0, SPAN, WHITE), disc(0, 0, 97, RED), disc(0, 0, 75, WHITE))


def _red_disc() -> Drawing:
    return (disc(0, 0, SPAN, WHITE), disc(0, 0, 96, RED))


def _mandatory() -> Drawing:
    return (disc(0, 0, SPAN, WHITE), disc(0, 0, 95, BLUE))


def _derestriction() -> Drawing:
    return (disc(0, 0, SPAN, WHITE), stroke(arc(0, 0, 94, 94, 0, 360), BLACK, 4))


def _bars() -> Drawing:
    """Five black bars that strike out what the sign ends, from the lower left to the upper right, rim to rim."""
    # How far a bar's middle lies from the sign's, and how far its ends from its middle, both along either axis.
    bars = ((-16.0, 63.0), (-8.0, 65.0), (0.0, 66.0), (8.0, 65.0), (16.0, 63.0))
    return tuple(stroke(((d - r, d + r), (d + r, d - r)), BLACK, 4, round_ends=False) for d, r in bars)


def _triangle(scale: float) -> tuple[Point, ...]:
    """An upright triangle about its centroid; at scale 1 with 9 of rounding it fills the square's width."""
    return tuple((scale * x, 26 + scale * (y - 26)) for x, y in ((0.0, -79.0), (91.0, 78.5), (-91.0, 78.5)))


def _warning() -> Drawing:
    return (fill(_triangle(1), WHITE, 9), fill(_triangle(1), RED, 6), fill(_triangle(0.66), WHITE, 3))


def _yield() -> Drawing:
    white, red, middle = fill(_triangle(1), WHITE, 9), fill(_triangle(1), RED, 6), fill(_triangle(0.6), WHITE, 3)
    return tuple(fill(((x, -y) for x, y in s.points), s.colour, s.width / 2) for s in (white, red, middle))


def _diamond() -> Drawing:
    def square(half: float) -> tuple[Point, ...]:
        return ((0, -half), (half, 0), (0, half), (-half, 0))

    return (
        fill(square(90), BLACK, 7),
        fill(square(90), WHITE, 5),
        fill(square(58), BLACK, 5),
        fill(square(58), YELLOW, 3),
    )


def _octagon() -> Drawing:
    near, far = 39.0, 94.0  # half a side and the distance of a side: tan 22.5° apart
    corners = (
        (-near, -far), (near, -far), (far, -near), (far, near), (near, far), (-near, far), (-far, near), (-far, -near)
    )  # fmt: skip
    return (fill(corners, WHITE, 6), fill(corners, RED, 1))


# Index = label: in the order of waymark.datasets.traffic_sign_names.
SIGNS: tuple[Sign, ...] = (
    Sign(_prohibition, "20"),  # Speed limit (20km/h)
    Sign(_prohibition, "30"),  # Speed limit (30km/h)
    Sign(_prohibition, "50"),  # Speed limit (50km/h)
    Sign(_prohibition, "60"),  # Speed limit (60km/h)
    Sign(_prohibition, "70"),  # Speed limit (70km/h)
    Sign(_prohibition, "80"),  # Speed limit (80km/h)
    Sign(_derestriction, "80"),  # End of speed limit (80km/h)
    Sign(_prohibition, "100"),  # Speed limit (100km/h)
    Sign(_prohibition, "120"),  # Speed limit (120km/h)
    Sign(_prohibition, pictograms.two_cars),  # No passing
    Sign(_prohibition, pictograms.lorry_and_car),  # No passing for vehicles over 3.5 metric tons
    Sign(_warning, pictograms.crossing_with_priority),  # Right-of-way at the next intersection
    Sign(_diamond),  # Priority road
    Sign(_yield),  # Yield
    Sign(_octagon, "STOP"),  # Stop
    Sign(_prohibition),  # No vehicles
    Sign(_prohibition, pictograms.lorry_from_the_side),  # Vehicles over 3.5 metric tons prohibited
    Sign(_red_disc, pictograms.bar),  # No entry
    Sign(_warning, pictograms.exclamation_mark),  # General caution
    Sign(_warning, pictograms.curve_to_the_left),  # Dangerous curve to the left
    Sign(_warning, pictograms.curve_to_the_left, mirror=True),  # Dangerous curve to the right
    Sign(_warning, pictograms.double_curve),  # Double curve
    Sign(_warning, pictograms.bumps),  # Bumpy road
    Sign(_warning, pictograms.skidding_car),  # Slippery road
    Sign(_warning, pictograms.narrowing_on_the_right),  # Road narrows on the right
    Sign(_warning, pictograms.road_worker),  # Road work
    Sign(_warning, pictograms.traffic_light),  # Traffic signals
    Sign(_warning, pictograms.walker),  # Pedestrians
    Sign(_warning, pictograms.running_children),  # Children crossing
    Sign(_warning, pictograms.bicycle),  # Bicycles crossing
    Sign(_warning, pictograms.snowflake),  # Beware of ice/snow
    Sign(_warning, pictograms.deer),  # Wild animals crossing
    Sign(_derestriction),  # End of all speed and passing limits
    Sign(_mandatory, pictograms.turn_to_the_right),  # Turn right ahead
    Sign(_mandatory, pictograms.turn_to_the_right, mirror=True),  # Turn left ahead
    Sign(_mandatory, pictograms.straight_on),  # Ahead only
    Sign(_mandatory, pictograms.straight_on_or_right),  # Go straight or right
    Sign(_mandatory, pictograms.straight_on_or_right, mirror=True),  # Go straight or left
    Sign(_mandatory, pictograms.keep_to_the_right),  # Keep right
    Sign(_mandatory, pictograms.keep_to_the_right, mirror=True),  # Keep left
    Sign(_mandatory, pictograms.roundabout),  # Roundabout mandatory
    Sign(_derestriction, pictograms.two_cars),  # End of no passing
    Sign(_derestriction, pictograms.lorry_and_car),  # End of no passing by vehicles over 3.5 metric tons
)
