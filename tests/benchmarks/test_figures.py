"""Check figures, their bounds and how they are written, by hand."""

import math

import pytest

from benchmarks.effort import Effort
from benchmarks.figures import Figure, lines, number, percentile, ratio


def test_a_figure_is_the_median_of_its_rounds_with_the_ends() -> None:
    figure = Figure.of("time", [3.0, 1.0, 2.0], "ms")

    assert (figure.value, figure.low, figure.high) == (2.0, 1.0, 3.0)
    assert (figure.median, figure.spread) == ("2 ms", "1–3")


def test_one_round_has_no_spread() -> None:
    figure = Figure.of("time", [1.25], "s")

    assert (figure.median, figure.spread) == ("1.25 s", "")


def test_a_ratio_is_taken_round_by_round() -> None:
    # the ratio of the medians would be 20 / 5
    figure = ratio("a / b", [10.0, 20.0, 90.0], [5.0, 4.0, 30.0], bound=3.0)

    assert (figure.value, figure.low, figure.high) == (3.0, 2.0, 5.0)
    assert figure.holds


@pytest.mark.parametrize(
    ("figure", "holds", "limit"),
    [
        (Figure("shown", 9.0), True, ""),
        (Figure("at the bound", 1.6, bound=1.6), True, "≤ 1.6"),
        (Figure("over it", 1.61, bound=1.6), False, "≤ 1.6"),
        (Figure("at least", 0.65, least=0.65), True, "≥ 0.65"),
        (Figure("under it", 0.64, least=0.65), False, "≥ 0.65"),
        (Figure("not measured, at most", math.nan, bound=1.0), False, "≤ 1"),
        (Figure("not measured, at least", math.nan, least=1.0), False, "≥ 1"),
    ],
    ids=lambda value: value.name if isinstance(value, Figure) else "",
)
def test_a_figure_keeps_its_bound_or_not(figure: Figure, holds: bool, limit: str) -> None:
    assert figure.holds == holds
    assert figure.limit == limit
    assert ("FALLS SHORT" in lines([figure])) is not holds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (5000.0, "5000"),
        (0.06637, "0.0664"),
        (0.99996, "1.00"),
        (1.6049, "1.60"),
        (28.41, "28.4"),
        (293.4, "293"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_percentiles_by_hand() -> None:
    values = [float(value) for value in range(1, 101)]

    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.95) == 95.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([7.0, 5.0], 0.99) == 7.0
    assert percentile([7.0, 5.0], 0.5) == 5.0


def test_a_quick_run_does_each_thing_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(Effort().rounds(3, "asking")) == [0, 1, 2]
    assert "asking, round 3 of 3" in capsys.readouterr().out
    assert list(Effort(quick=True).rounds(3, "asking")) == [0]
    assert (Effort().of(150, 16), Effort(quick=True).of(150, 16)) == (150, 16)
