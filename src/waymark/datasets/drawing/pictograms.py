"""What stands inside the signs: vehicles, people, animals and arrows, drawn as flat shapes.

Each drawing keeps to the coordinates of the sign that it was made for (-100 to 100, y downwards); those that several
signs share are centred on the origin.
"""

import math
from collections.abc import Sequence

from waymark.datasets.drawing.canvas import (
    Colour,
    Point,
    Shape,
    arc,
    box,
    cosine,
    curve,
    disc,
    fill,
    placed,
    sine,
    stroke,
    turned,
)

BLACK: Colour = (22, 22, 24)
WHITE: Colour = (238, 238, 236)
RED: Colour = (196, 22, 34)
YELLOW: Colour = (250, 190, 20)
GREEN: Colour = (20, 140, 80)

Drawing = tuple[Shape, ...]


def arrow(points: Sequence[Point], colour: Colour, width: float, head: float) -> Drawing:
    """A line that ends in a triangle of length `head`, its tip at the last point."""
    (x1, y1), (x2, y2) = points[-2], points[-1]
    length = math.sqrt((x2 - x1) * (x2 - x1) + (y2 - y1) * (y2 - y1))
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    x, y, half = x2 - head * ux, y2 - head * uy, 0.62 * head
    tip = fill(((x2, y2), (x - half * uy, y + half * ux), (x + half * uy, y - half * ux)), colour)
    return (stroke((*points[:-1], (x + ux, y + uy)), colour, width, round_ends=False), tip)


def car(colour: Colour) -> Drawing:
    """A car from the front, 60 wide."""
    return (
        fill(((-22, 2), (-15, -17), (15, -17), (22, 2)), colour, 3),
        fill(((-16, 0), (-11.5, -12), (11.5, -12), (16, 0)), WHITE),
        box(-30, 0, 30, 20, colour, 5),
        box(-27, 16, -16, 29, colour, 2),
        box(16, 16, 27, 29, colour, 2),
        disc(-21, 9, 4.5, WHITE),
        disc(21, 9, 4.5, WHITE),
    )


def lorry_from_behind(colour: Colour) -> Drawing:
    """A lorry from behind, 52 wide."""
    return (
        box(-26, -44, 26, 12, colour, 2),
        box(-22, 15, 22, 21, colour),
        box(-26, 10, -13, 31, colour, 2),
        box(13, 10, 26, 31, colour, 2),
    )


def lorry_from_the_side() -> Drawing:
    wheel = (disc(0, 24, 13, WHITE), disc(0, 24, 10, BLACK), disc(0, 24, 4, WHITE))
    return (
        box(-20, -32, 62, 20, BLACK, 2),
        fill(((-26, 22), (-62, 22), (-62, 0), (-50, -20), (-26, -20)), BLACK, 2),
        fill(((-34, -2), (-55, -2), (-46, -14), (-34, -14)), WHITE),
        *placed(wheel, -44),
        *placed(wheel, 16),
        *placed(wheel, 40),
    )


def crossing_with_priority() -> Drawing:
    return (
        *arrow(((0, 54), (0, -30)), BLACK, 15, 26),
        stroke(((-28, 24), (28, 24)), BLACK, 9, round_ends=False),
    )


def exclamation_mark() -> Drawing:
    return (fill(((-6, -26), (6, -26), (3, 20), (-3, 20)), BLACK, 4), disc(0, 42, 9.5, BLACK))


def curve_to_the_left() -> Drawing:
    return arrow(((16, 55), (16, 24), *arc(-4, 24, 20, 20, 352, 280), (-8, 4), (-34, 4)), BLACK, 13, 22)


def double_curve() -> Drawing:
    line = curve(((18, 55), (18, 42), (8, 33), (-10, 26), (-18, 15), (-12, 2)))
    return arrow((*line, (6, -26)), BLACK, 13, 24)


def bumps() -> Drawing:
    line = (*arc(-22, 46, 20, 24, 180, 360), *arc(22, 46, 20, 24, 180, 360))
    return (fill(((-50, 56), (-50, 46), *line, (50, 46), (50, 56)), BLACK),)


def skidding_car() -> Drawing:
    tracks = tuple(
        stroke(curve(((x, 24), (x + 9, 32), (x - 1, 42), (x + 8, 55))), BLACK, 6, round_ends=False) for x in (-20, 10)
    )
    return (*placed(turned(car(BLACK), -14), 0, -2, 0.82), *tracks)


def narrowing_on_the_right() -> Drawing:
    return (
        stroke(((-15, 55), (-15, -22)), BLACK, 10, round_ends=False),
        stroke(((26, 55), (26, 34), (8, 8), (8, -22)), BLACK, 10, round_ends=False),
    )


def road_worker() -> Drawing:
    return (
        disc(2, -24, 8, BLACK),
        stroke(((-4, -10), (-12, 16)), BLACK, 15),
        stroke(((-12, 16), (-22, 34), (-32, 54)), BLACK, 9),
        stroke(((-10, 16), (0, 34), (-6, 54)), BLACK, 9),
        stroke(((-2, -8), (10, 10), (20, 14)), BLACK, 7),
        stroke(((-8, 6), (26, 40)), BLACK, 4),
        fill(((10, 56), (24, 42), (34, 34), (44, 44), (52, 56)), BLACK, 1),
    )


def traffic_light() -> Drawing:
    return (disc(0, -18, 12, RED), disc(0, 12, 12, YELLOW), disc(0, 42, 12, GREEN))


def walker() -> Drawing:
    return (
        disc(4, -29, 8, BLACK),
        stroke(((1, -14), (-2, 12)), BLACK, 14),
        stroke(((-2, 14), (10, 32), (12, 54)), BLACK, 9),
        stroke(((-3, 14), (-9, 34), (-22, 52)), BLACK, 9),
        stroke(((3, -15), (14, 0), (24, 6)), BLACK, 6),
        stroke(((-1, -15), (-13, 0), (-14, 12)), BLACK, 6),
    )


def running_children() -> Drawing:
    return (*placed(_runner(), -18, 10, 0.8), *placed(_runner(), 17, 2, 0.98), stroke(((-8, 8), (8, 4)), BLACK, 5))


def _runner() -> Drawing:
    """A running child, facing left, some 75 high."""
    return (
        disc(-6, -24, 9, BLACK),
        stroke(((-1, -10), (4, 12)), BLACK, 14),
        stroke(((2, 14), (-13, 26), (-12, 46)), BLACK, 8),
        stroke(((5, 14), (14, 32), (29, 38)), BLACK, 8),
        stroke(((-2, -11), (-14, 2), (-24, -4)), BLACK, 6),
        stroke(((1, -11), (15, 0), (20, -10)), BLACK, 6),
    )


def bicycle() -> Drawing:
    return (
        stroke(arc(-27, 34, 18, 18, 0, 360), BLACK, 5),
        stroke(arc(27, 34, 18, 18, 0, 360), BLACK, 5),
        stroke(((-27, 34), (-11, 6), (15, 6), (27, 34)), BLACK, 5),
        stroke(((-13, 2), (0, 34), (17, 8)), BLACK, 5),
        stroke(((-27, 34), (0, 34)), BLACK, 5),
        stroke(((15, 6), (12, -8), (22, -9)), BLACK, 5),
        stroke(((-20, -1), (-7, -1)), BLACK, 6),
    )


def snowflake() -> Drawing:
    spokes: list[Shape] = []
    for angle in range(30, 390, 60):
        x, y = cosine(angle), sine(angle)
        spokes.append(stroke(((0, 16), (34 * x, 16 + 34 * y)), BLACK, 6))
        for side in (angle - 50, angle + 50):
            end = (20 * x + 13 * cosine(side), 16 + 20 * y + 13 * sine(side))
            spokes.append(stroke(((20 * x, 16 + 20 * y), end), BLACK, 5))
    return tuple(spokes)


def deer() -> Drawing:
    """A stag that leaps to the left."""
    trunk = ((-14, -8), (-2, -4), (12, 2), (24, 12), (24, 26), (14, 26), (2, 18), (-12, 12), (-18, 2))
    return (
        fill(curve(trunk), BLACK, 2),
        stroke(((-11, 0), (-19, -18)), BLACK, 10),
        stroke(((-19, -19), (-31, -11)), BLACK, 8),
        stroke(((-17, -22), (-8, -30), (-9, -42)), BLACK, 4),
        stroke(((-19, -22), (-21, -34), (-15, -44)), BLACK, 4),
        stroke(((-11, -28), (-1, -33)), BLACK, 4),
        stroke(((-12, 8), (-30, 14), (-34, 28)), BLACK, 6),
        stroke(((-8, 12), (-20, 26), (-16, 38)), BLACK, 6),
        stroke(((20, 22), (24, 38), (38, 54)), BLACK, 7),
        stroke(((16, 22), (14, 38), (24, 54)), BLACK, 7),
        stroke(((25, 13), (33, 14)), BLACK, 5),
    )


def turn_to_the_right() -> Drawing:
    return arrow(((-24, 66), (-24, 6), *arc(2, 2, 26, 26, 190, 262), (8, -24), (62, -24)), WHITE, 24, 42)


def straight_on() -> Drawing:
    return arrow(((0, 70), (0, -74)), WHITE, 24, 48)


def straight_on_or_right() -> Drawing:
    return (
        *arrow(((-22, 70), (-22, -72)), WHITE, 20, 38),
        *arrow(((-22, 34), (-22, 26), *arc(-8, 26, 14, 14, 190, 262), (2, 12), (62, 12)), WHITE, 20, 38),
    )


def keep_to_the_right() -> Drawing:
    return arrow(((-50, -46), (54, 50)), WHITE, 22, 50)


def roundabout() -> Drawing:
    """Three arrows that chase each other anticlockwise, as traffic does where it keeps to the right."""
    arrows: list[Shape] = []
    for start in (80, 200, 320):
        line = arc(0, 0, 50, 50, start, start - 62)
        tip = (56 * cosine(start - 104), 56 * sine(start - 104))
        arrows += arrow((*line, tip), WHITE, 20, 38)
    return tuple(arrows)


def two_cars() -> Drawing:
    return (*placed(car(RED), -35, -4, 1.06), *placed(car(BLACK), 35, -4, 1.06))


def lorry_and_car() -> Drawing:
    return (*placed(lorry_from_behind(RED), -35, 2, 1.1), *placed(car(BLACK), 35, 4, 1.02))


def bar() -> Drawing:
    return (box(-72, -17, 72, 17, WHITE),)
