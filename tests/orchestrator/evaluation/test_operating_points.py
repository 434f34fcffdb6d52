import numpy as np
import pytest

from orchestrator.evaluation.metrics import rates
from orchestrator.evaluation.operating_points import Method, choose_threshold, parse_method

# Lowest to highest: - - + - + +
GIVEN = np.array([0.1, 0.2, 0.4, 0.5, 0.7, 0.8])
TRUTH = np.array([False, False, True, False, True, True])


def test_youden_takes_the_middle_of_the_gap_with_the_best_sum_and_of_equals_the_lower() -> None:
    # At .3: sensitivity 1, specificity 2/3. At .6: 2/3 and 1. Both sums are 5/3.
    assert choose_threshold(TRUTH, GIVEN, Method("youden")) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sensitivity=0.9", 0.3),  # the highest that keeps all three
        ("sensitivity=0.6", 0.6),  # two of three
        ("sensitivity=0.3", 0.75),  # one of three
        ("specificity=0.6", 0.3),  # the lowest that frees two of three
        ("specificity=0.9", 0.6),  # all three
    ],
)
def test_a_target_rate_is_reached_at_the_least_cost(text: str, expected: float) -> None:
    method = parse_method(text)
    threshold = choose_threshold(TRUTH, GIVEN, method)
    assert threshold == pytest.approx(expected)
    assert threshold is not None
    reached = dict(zip(("sensitivity", "specificity"), rates(TRUTH, GIVEN, threshold), strict=True))
    assert method.target is not None
    assert reached[method.aim] >= method.target


def test_a_rate_of_exactly_the_target_is_enough() -> None:
    given = np.linspace(0.05, 0.95, 10)
    truth = np.array([False] * 5 + [True] * 5)
    assert choose_threshold(truth, given, Method("sensitivity", 0.8)) == pytest.approx(0.6)


def test_equal_probabilities_are_never_parted() -> None:
    given, truth = np.array([0.2, 0.6, 0.6]), np.array([False, False, True])
    assert choose_threshold(truth, given, Method("youden")) == pytest.approx(0.4)


def test_a_specificity_can_be_reached_by_calling_nothing_positive() -> None:
    given, truth = np.array([0.2, 0.6]), np.array([True, False])
    assert choose_threshold(truth, given, Method("specificity", 0.9)) == pytest.approx(0.8)


def test_without_both_kinds_there_is_no_threshold() -> None:
    assert choose_threshold(np.array([True, True]), np.array([0.1, 0.2]), Method("youden")) is None
    assert choose_threshold(np.array([False]), np.array([0.1]), Method("youden")) is None


def test_youden_gives_no_threshold_where_none_beats_calling_every_image_positive() -> None:
    truth = np.array([False, True, False, True, True])
    for given in (np.full(5, 0.5), np.array([0.9, 0.1, 0.8, 0.2, 0.3])):
        assert choose_threshold(truth, given, Method("youden")) is None


def test_a_rate_out_of_reach_gives_no_threshold() -> None:
    given, truth = np.array([0.5, 1.0]), np.array([True, False])
    assert choose_threshold(truth, given, Method("specificity", 0.9)) is None


@pytest.mark.parametrize("text", ["youden", "sensitivity=0.9", "specificity=0.25"])
def test_methods_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_method(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "f1", "sensitivity", "sensitivity=", "sensitivity=90", "specificity=nan", "youden=1"],
)
def test_other_methods_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected youden"):
        parse_method(text)
