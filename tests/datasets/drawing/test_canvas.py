import numpy as np
import pytest
from numpy.typing import NDArray

from waymark.datasets.drawing.canvas import (
    Shape,
    arc,
    box,
    curve,
    disc,
    fill,
    mirrored,
    paint,
    placed,
    recoloured,
    stroke,
    turned,
)

INK = (200, 100, 0)


def coverage(*shapes: Shape, size: int = 10, samples: int = 2) -> NDArray[np.uint8]:
    return paint(shapes, size, samples)[..., 3]


def test_box_covers_exactly_the_pixels_between_its_corners() -> None:
    expected = np.zeros((10, 10), np.uint8)
    expected[2:5, 1:9] = 255
    assert np.array_equal(coverage(box(-80, -60, 80, 0, INK)), expected)


def test_colour_is_multiplied_by_coverage_and_nothing_is_clear() -> None:
    half_a_pixel = paint([box(-100, -100, -90, -80, INK)], 10)
    assert half_a_pixel[0, 0].tolist() == [100, 50, 0, 128]
    assert not half_a_pixel[1:].any()
    assert not half_a_pixel[0, 1:].any()


def test_later_shapes_cover_earlier_ones() -> None:
    picture = paint([box(-100, -100, 100, 100, INK), disc(0, 0, 60, (1, 2, 3))], 10)
    assert picture[5, 5].tolist() == [1, 2, 3, 255]
    assert picture[0, 0].tolist() == [*INK, 255]


def test_area_of_a_disc_is_pi_r_squared() -> None:
    covered = coverage(disc(0, 0, 50, INK), size=200).astype(int).sum() / 255
    assert covered == pytest.approx(np.pi * 50**2, rel=0.002)


def test_rounding_grows_a_polygon_by_its_radius_on_every_side() -> None:
    inside = coverage(fill(((-20, -20), (20, -20), (20, 20), (-20, 20)), INK, rounding=30), size=20)
    assert np.flatnonzero(inside.any(axis=0)).tolist() == list(range(5, 15))
    assert inside[5, 5] == 0  # the corner is round


def test_crossing_outline_fills_by_the_even_odd_rule() -> None:
    outer, inner = (
        ((-80, -80), (80, -80), (80, 80), (-80, 80), (-80, -80)),
        ((-40, -40), (40, -40), (40, 40), (-40, 40)),
    )
    filled = coverage(fill((*outer, *inner, (-40, -40), (-80, -80)), INK))
    assert filled[5, 5] == 0
    assert filled[1, 1] == 255


def test_stroke_ends_straight_or_round() -> None:
    line = ((-40, 0), (40, 0))
    straight = coverage(stroke(line, INK, 40, round_ends=False), size=20)
    assert np.flatnonzero(straight.any(axis=0)).tolist() == list(range(6, 14))
    rounded = coverage(stroke(line, INK, 40), size=20)
    assert np.flatnonzero(rounded.any(axis=0)).tolist() == list(range(4, 16))


def test_point_that_repeats_in_a_line_adds_nothing() -> None:
    once, twice = ((-40, 0), (40, 30)), ((-40, 0), (-40, 0), (40, 30))
    assert np.array_equal(coverage(stroke(once, INK, 20)), coverage(stroke(twice, INK, 20)))


def test_shapes_beyond_the_canvas_are_cut_or_left_out() -> None:
    assert not coverage(disc(300, 0, 50, INK)).any()
    assert coverage(box(-500, -500, 500, 500, INK)).min() == 255


def test_arc_runs_clockwise_from_the_right() -> None:
    points = arc(10, 20, 30, 40, 0, 90)
    assert (points[0], points[-1]) == ((40, 20), (10, 60))


def test_curve_passes_through_its_points() -> None:
    knots = [(0.0, 0.0), (10.0, 30.0), (50.0, -20.0)]
    smooth = curve(knots, steps=4)
    assert [smooth[0], smooth[4], smooth[8]] == knots


def test_drawing_can_be_placed_mirrored_turned_and_recoloured() -> None:
    drawing = (disc(10, 20, 5, INK),)
    assert placed(drawing, 1, 2, 3) == (disc(31, 62, 15, INK),)
    assert mirrored(drawing) == (disc(-10, 20, 5, INK),)
    assert turned(drawing, 90) == (disc(-20, 10, 5, INK),)
    assert recoloured(drawing, {INK: (0, 0, 0)}) == (disc(10, 20, 5, (0, 0, 0)),)
