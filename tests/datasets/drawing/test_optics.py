import numpy as np
import pytest

from waymark.datasets.drawing import optics

FLAT = optics.pose(0, 0, 0)


def test_sign_seen_straight_on_is_its_own_picture() -> None:
    assert FLAT == ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def test_inverse_leads_back_from_the_picture_to_the_sign() -> None:
    there = optics.scaled(optics.pose(25, -10, 7), scale=0.3, x=20, y=30)
    x, y = np.array([-90.0, 0, 40]), np.array([10.0, 0, -70])
    back = optics.mapped(optics.inverse(there), *optics.mapped(there, x, y))
    assert np.allclose(back, (x, y))


def test_turned_sign_is_narrower_and_its_near_side_is_taller() -> None:
    turned = optics.pose(30, 0, 0)
    x, y = optics.mapped(turned, np.array([-100.0, 100, 100]), np.array([0.0, -50, 50]))
    assert x[1] - x[0] < 185
    assert y[2] - y[1] > 100


def test_extent_is_the_box_of_what_is_covered() -> None:
    coverage = np.zeros((20, 20), np.uint8)
    coverage[5:10, 2:18] = 255
    assert optics.extent(FLAT, coverage) == (-80, -50, 80, 0)


def test_positions_beyond_the_canvas_take_the_edge_or_the_rim() -> None:
    beyond = np.array([-150.0, -100, 0, 99, 150])
    assert optics.index(beyond, 10).tolist() == [0, 0, 5, 9, 9]
    assert optics.index(beyond, 10, rim=1).tolist() == [0, 1, 6, 10, 11]


def test_blocks_are_averaged_and_rounded() -> None:
    picture = np.array([[[0], [1], [4], [4]], [[1], [0], [4], [5]]], np.int32)
    assert optics.averaged(picture, 2).tolist() == [[[1], [4]]]


@pytest.mark.parametrize(("length", "expected"), [(1, [0, 9, 0, 0]), (2, [0, 4, 4, 0]), (3, [3, 3, 3, 0])])
def test_running_mean_spreads_a_spike_over_its_length(length: int, expected: list[int]) -> None:
    spike = np.array([0, 9, 0, 0], np.int32)
    assert optics.blurred(spike.reshape(1, 4, 1), length, axis=1).ravel().tolist() == expected
    assert optics.blurred(spike.reshape(4, 1, 1), length, axis=0).ravel().tolist() == expected
