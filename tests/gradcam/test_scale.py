"""Check the rules by which an image gets its one scale."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam.scale import FLOOR, WEAK, ceiling, shared_scale


def peaks(*values: float) -> NDArray[np.float32]:
    """Return one 2x2 map per value, whose highest cell is that value."""
    maps = np.full((len(values), 2, 2), -5, np.float32)
    maps[:, 1, 0] = values
    return maps


def flags(*values: bool) -> NDArray[np.bool_]:
    return np.array(values)


def test_the_highest_cell_of_any_finding_is_drawn_at_full_colour() -> None:
    assert shared_scale(peaks(3, 8, 2), flags(True, True, False)) == 8


def test_a_label_below_its_threshold_does_not_pale_a_finding() -> None:
    assert shared_scale(peaks(3, 50), flags(True, False)) == 3


def test_without_a_finding_the_highest_cell_lies_at_the_weak_end() -> None:
    scale = shared_scale(peaks(3, 8), flags(False, False))

    assert scale == pytest.approx(20)
    assert 8 / scale == pytest.approx(WEAK)


def test_weak_maps_stay_weak() -> None:
    assert shared_scale(peaks(0.25, 0.1), flags(True, False)) == FLOOR
    assert shared_scale(peaks(0.25, 0.1), flags(False, False)) == FLOOR


def test_labels_that_are_not_considered_have_no_say() -> None:
    considered = flags(True, False)

    assert shared_scale(peaks(3, 50), flags(True, True), considered) == 3
    assert shared_scale(peaks(4, 50), flags(False, True), considered) == pytest.approx(10)
    assert shared_scale(peaks(50), flags(True), flags(False)) == FLOOR


def test_negative_maps_leave_the_floor() -> None:
    assert shared_scale(peaks(-1, -2), flags(True, False)) == FLOOR


def test_only_a_finding_may_show_full_heat() -> None:
    assert ceiling(True) == 1
    assert ceiling(False) == WEAK


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        shared_scale(peaks(1, bad), flags(True, False))


def test_shapes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected maps \[L, h, w\]"):
        shared_scale(peaks(1, 2), flags(True))
