"""What the pictures of dashboards are drawn with: values in words, axes, buckets, stacks."""

import pytest

from tests.monitoring.drawing import apart, stacked_up, ticks, worded


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.25, "s", "250 ms"),
        (90, "s", "1.5 min"),
        (0, "s", "0"),
        (0.005, "percentunit", "0.5 %"),
        (3e9, "bytes", "2.79 GiB"),
        (12, "none", "12"),
        (0.125, "reqps", "0.125 req/s"),
    ],
)
def test_values_are_worded_in_their_unit(value: float, unit: str, expected: str) -> None:
    assert worded(value, unit) == expected


def test_axes_have_round_values() -> None:
    assert ticks(0, 1.05) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.1, 0.107) == [-0.1, -0.05, 0.0, 0.05, 0.1]
    assert ticks(0, 315, "s") == [0, 60, 120, 180, 240, 300]
    assert ticks(0, 2.1 * 2**30, "bytes") == [0, 2**29, 2**30, 1.5 * 2**30, 2**31]


def test_a_bucket_is_drawn_without_what_lies_in_those_below() -> None:
    found = [
        {"metric": {"le": bound}, "values": [(60, count)]}
        for bound, count in (("+Inf", "9"), ("0.5", "4"), ("1.0", "9"))
    ]
    assert apart(found) == [("0.5", [(60, 4)]), ("1.0", [(60, 5)]), ("+Inf", [(60, 0)])]


def test_stacked_series_stand_on_each_other() -> None:
    series = [("a", [(1.0, 1.0), (2.0, 1.0)]), ("b", [(2.0, 3.0)])]
    assert stacked_up(series) == [("a", [(1.0, 1.0), (2.0, 1.0)]), ("b", [(2.0, 4.0)])]
