import numpy as np
import pytest

from gradcam.placement import Placement
from orchestrator.evaluation.localisation import (
    GRID,
    Box,
    cell_tests,
    covered,
    iou,
    mean_pointing,
    point,
    region,
    shifted_iou,
)

# Four rows and four columns of cells, 10 pixels each, over an image of 40 by 40.
WHOLE = Placement(0, 0, 40, 40)
SIZE = (40, 40)


def cells(*marked: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    array = np.zeros((4, 4), np.bool_)
    for row, column in marked:
        array[row, column] = True
    return array


def spot(row: int, column: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    array = np.full((4, 4), -1.0, np.float32)
    array[row, column] = 3.0
    return array


def test_cells_touch_have_their_centre_in_or_lie_within_a_box() -> None:
    touches, centers, within = cell_tests((4, 4), [Box(8, 20, 18, 10)], WHOLE)
    np.testing.assert_array_equal(touches, cells((2, 0), (2, 1), (2, 2)))
    np.testing.assert_array_equal(centers, cells((2, 1), (2, 2)))
    np.testing.assert_array_equal(within, cells((2, 1)))


def test_a_box_smaller_than_a_cell_holds_none_whole() -> None:
    touches, centers, within = cell_tests((4, 4), [Box(11, 31, 3, 3)], WHOLE)
    np.testing.assert_array_equal(touches, cells((3, 1)))
    assert not centers.any()
    assert not within.any()


def test_a_box_that_ends_at_a_cells_edge_does_not_touch_the_next() -> None:
    touches, _, _ = cell_tests((4, 4), [Box(10, 10, 10, 10)], WHOLE)
    np.testing.assert_array_equal(touches, cells((1, 1)))


def test_any_of_several_boxes_will_do() -> None:
    _, _, within = cell_tests((4, 4), [Box(0, 0, 10, 10), Box(30, 30, 10, 10)], WHOLE)
    np.testing.assert_array_equal(within, cells((0, 0), (3, 3)))


def test_cells_lie_where_the_networks_input_lies() -> None:
    # A crop of the middle: columns 20 to 60 of an image 80 wide.
    touches, _, _ = cell_tests((4, 4), [Box(51, 1, 5, 5)], Placement(20, 0, 40, 40))
    np.testing.assert_array_equal(touches, cells((0, 3)))


def test_a_map_that_points_at_the_box_hits_and_chance_is_the_share_of_cells() -> None:
    found = point(spot(2, 1), [Box(8, 20, 18, 10)], WHOLE, SIZE)
    assert (found.overlap, found.center, found.within) == (1, 1, 1)
    assert (found.overlap_chance, found.center_chance, found.within_chance) == (
        3 / 16,
        2 / 16,
        1 / 16,
    )
    assert found.iou > 3 * found.iou_chance


def test_a_map_that_points_elsewhere_misses() -> None:
    found = point(spot(0, 3), [Box(8, 20, 18, 10)], WHOLE, SIZE)
    assert (found.overlap, found.center, found.within, found.iou) == (0, 0, 0, 0)
    assert found.overlap_chance == 3 / 16


def test_rows_are_not_mistaken_for_columns() -> None:
    assert point(spot(0, 3), [Box(30, 0, 10, 10)], WHOLE, SIZE).within == 1
    assert point(spot(3, 0), [Box(30, 0, 10, 10)], WHOLE, SIZE).overlap == 0


def test_the_region_is_where_heat_is_at_least_half_of_the_peak() -> None:
    found = region(spot(1, 2), WHOLE, SIZE)
    rows, columns = np.nonzero(found)
    cell = GRID // 4
    # heat falls linearly from the cell's centre to nothing one cell on: half of it is half a cell away
    assert rows.min() == cell
    assert rows.max() == 2 * cell - 1
    assert columns.min() == 2 * cell
    assert columns.max() == 3 * cell - 1


def test_a_map_without_positive_evidence_has_no_region_and_still_a_strongest_cell() -> None:
    found = point(spot(0, 0) - 4, [Box(0, 0, 10, 10)], WHOLE, SIZE)
    assert found.iou == found.iou_chance == 0
    assert found.within == 1


@pytest.mark.parametrize("level", [-1.0, 0.0, 2.0])
def test_a_flat_map_points_no_better_than_chance_wherever_the_box_is(level: float) -> None:
    for box in (Box(0, 0, 18, 10), Box(8, 20, 18, 10)):
        found = point(np.full((4, 4), level), [box], WHOLE, SIZE)
        assert (found.overlap, found.center, found.within) == (
            found.overlap_chance,
            found.center_chance,
            found.within_chance,
        )


def test_of_several_strongest_cells_each_counts_its_share() -> None:
    found = point(
        np.maximum(spot(2, 1), spot(0, 3)), [Box(8, 20, 18, 10), Box(0, 0, 10, 10)], WHOLE, SIZE
    )
    assert (found.overlap, found.center, found.within) == (0.5, 0.5, 0.5)


def test_covered_marks_the_boxs_share_of_the_image() -> None:
    marked = covered([Box(20, 0, 40, 25)], (80, 50))
    assert marked.mean() == pytest.approx(0.25)
    assert marked[0, GRID // 2]
    assert not marked[-1].any()


def test_iou_by_hand() -> None:
    assert iou(cells((0, 0), (0, 1)), cells((0, 1), (0, 2))) == pytest.approx(1 / 3)
    assert iou(cells(), cells()) == 0


def test_chance_is_the_mean_over_every_shift() -> None:
    found, truth = cells((0, 0), (0, 1)), cells((2, 2), (2, 3), (3, 3))
    every = [
        iou(np.roll(found, (down, across), (0, 1)), truth)
        for down in range(4)
        for across in range(4)
    ]
    assert shifted_iou(found, truth) == pytest.approx(np.mean(every))


def test_means_are_taken_figure_by_figure() -> None:
    one = point(spot(2, 1), [Box(8, 20, 18, 10)], WHOLE, SIZE)
    other = point(spot(0, 3), [Box(8, 20, 18, 10)], WHOLE, SIZE)
    mean = mean_pointing([one, other])
    assert mean.overlap == 0.5
    assert mean.overlap_chance == 3 / 16
    assert mean.iou == pytest.approx(one.iou / 2)
