"""Cells' targets follow from boxes, worked out by hand on 4x4-pixel images of 2x2 cells."""

import numpy as np

from export.demo.phantoms import Box
from export.demo.targets import cell_targets, centers_inside, coverage


def test_coverage_is_the_share_of_each_cell() -> None:
    # Columns 1 to 3: half of the left cells, all of the right
    expected = [[0.25, 0.5], [0.25, 0.5]]
    found = coverage([Box(1, 1, 4, 3)], size=4, cells=2)
    np.testing.assert_allclose(found, expected)


def test_coverage_takes_the_fullest_of_several_boxes() -> None:
    found = coverage([Box(0, 0, 2, 2), Box(0, 0, 1, 4)], size=4, cells=2)
    np.testing.assert_allclose(found, [[1.0, 0.0], [0.5, 0.0]])


def test_centers_lie_inside_a_box_whose_end_is_excluded() -> None:
    found = centers_inside([Box(1, 0, 3, 2)], size=4, cells=2)  # centres at 1 and 3
    np.testing.assert_array_equal(found, [[True, False], [False, False]])


def test_cells_that_a_box_only_touches_weigh_nothing() -> None:
    # All of one cell, half of the one below, whose centre is at 3
    boxes = {"a": (Box(0, 0, 2, 3),)}
    target, weight = cell_targets({"a": (Box(0, 0, 9, 10),)}, ["a", "b"], size=24, cells=3)
    np.testing.assert_array_equal(target[..., 0], [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    expected = [[0.5, 0, 0.1], [0, 0, 0.1], [0.1, 0.1, 0.1]]
    np.testing.assert_allclose(weight[..., 0], expected, atol=1e-7)
    np.testing.assert_allclose(weight[..., 1], np.full((3, 3), 1 / 9), atol=1e-7)
    assert cell_targets(boxes, ["a"], size=4, cells=2)[0][..., 0].tolist() == [[1, 0], [1, 0]]


def test_the_fullest_cell_is_positive_where_a_box_is_smaller_than_a_cell() -> None:
    target, _ = cell_targets({"a": (Box(0, 0, 3, 3),)}, ["a"], size=16, cells=2)
    np.testing.assert_array_equal(target[..., 0], [[1, 0], [0, 0]])
