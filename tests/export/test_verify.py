"""Check the figures that decide about an export."""

import math

import numpy as np
import pytest

from export.errors import VerificationError
from export.reference import Answer
from export.verify import (
    FLOAT32_BOUNDS,
    _require,
    logit_difference,
    map_correlation,
    map_difference,
    round_up,
)

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.0, 1e-5), (3e-8, 1e-5), (1.01e-5, 2e-5), (2e-5, 2e-5), (0.0113, 0.02), (0.3, 0.3)],
)
def test_differences_are_rounded_to_the_worse_side(value: float, rounded: float) -> None:
    assert round_up(value) == rounded


def test_maps_differ_relative_to_the_largest_value_of_their_image() -> None:
    expected = np.zeros((2, 2, 1, 2))
    expected[0, 0] = [[10, -20]]
    expected[1, 0] = [[0.1, 0.2]]
    actual = expected.copy()
    actual[0, 1, 0, 0] = 0.2
    terms = np.array([30.0, 0.3])
    assert map_difference(actual, expected, terms) == pytest.approx(0.01)
    actual[1, 0, 0, 0] = 0.11
    assert map_difference(actual, expected, terms) == pytest.approx(0.05)


def test_maps_whose_terms_cancel_differ_relative_to_a_tenth_of_these() -> None:
    expected = np.full((1, 1, 1, 2), 1e-6)
    assert map_difference(-expected, expected, np.array([10.0])) == pytest.approx(2e-6)
    assert map_difference(expected + 1e-3, expected, np.array([10.0])) == pytest.approx(1e-3)


def test_correlation_is_that_of_the_worst_map_that_varies() -> None:
    expected = np.array([[[[1.0, 2.0, 3.0, 4.0]], [[4.0, 3.0, 2.0, 1.0]], [[1.0, 1.0, 1.0, 1.0]]]])
    actual, terms = expected.copy(), np.array([4.0])
    assert map_correlation(actual, expected, terms) == pytest.approx(1)
    actual[0, 2] = [[5.0, 0.0, 1.0, 0.0]]
    assert map_correlation(actual, expected, terms) == pytest.approx(1)
    actual[0, 1] = [[4.0, 3.0, 1.0, 2.0]]
    assert map_correlation(actual, expected, terms) == pytest.approx(0.8)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_what_varies_is_told_from_roundings_at_any_scale(scale: float) -> None:
    flat = np.full((1, 1, 2, 2), 2.0) * scale
    noise = np.array([[[[1.0, -1.0], [1.0, -1.0]]]]) * scale
    terms = np.array([3.0]) * scale
    assert map_correlation(flat - 3e-6 * noise, flat + 3e-6 * noise, terms) == 1
    assert map_correlation(flat - 3e-4 * noise, flat + 3e-4 * noise, terms) == pytest.approx(-1)
    assert map_correlation(-3e-6 * noise, 3e-6 * noise, terms) == 1


def test_the_mean_of_a_map_plus_the_bias_is_the_logit() -> None:
    maps = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    logits = np.array([[1.5 + 0.5, 5.5 - 1.0]], np.float32)
    answer = Answer(logits=logits, probabilities=logits, maps=maps)
    assert logit_difference(answer, np.array([0.5, -1.0], np.float32)) == 0
    assert logit_difference(answer, np.array([0.5, -0.3], np.float32)) == pytest.approx(0.1)


@pytest.mark.parametrize("value", [1.1e-4, math.inf])
def test_a_missed_bound_is_named_with_its_figure(value: float) -> None:
    with pytest.raises(VerificationError, match=r"gradient tape's, got"):
        _require({"map": value, "probability": 0.0}, FLOAT32_BOUNDS)
