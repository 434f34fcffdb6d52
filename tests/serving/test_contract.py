"""A model card says what the contract asks for, or is refused."""

from dataclasses import replace
from typing import Any

import pytest

from serving.contract import DEFAULT_LABELS, ContractError, ModelCard
from tests.support.cards import card

CARD = card(thresholds=(0.0, 1.0), input_height=1, input_width=8, map_height=1)


def test_the_usual_labels_are_the_findings_of_chestx_ray14_and_no_finding() -> None:
    assert len(DEFAULT_LABELS) == 15
    assert DEFAULT_LABELS[:2] == ("Atelectasis", "Cardiomegaly")
    assert DEFAULT_LABELS[-1] == "No Finding"
    assert list(DEFAULT_LABELS[:14]) == sorted(DEFAULT_LABELS[:14])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": ("Mass", "Mass")}, r"all different, got \['Mass', 'Mass'\]"),
        ({"labels": (), "thresholds": ()}, r"all different, got \[\]"),
        ({"thresholds": (0.5,)}, r"one threshold per label \(2\), got 1"),
        ({"thresholds": (0.5, 1.01)}, r"in \[0, 1\], got \[0.5, 1.01\]"),
        ({"thresholds": (-0.01, 0.5)}, r"in \[0, 1\], got \[-0.01, 0.5\]"),
        ({"thresholds": (0.5, float("nan"))}, r"in \[0, 1\], got \[0.5, nan\]"),
        ({"input_width": 0}, r"positive sizes .*, got \(1, 0, 1, 2\)"),
        ({"map_height": -1}, r"positive sizes .*, got \(1, 8, -1, 2\)"),
        ({"resize": "pad"}, r"resize to be one of \('squash', 'crop'\), got 'pad'"),
        ({"activation": "relu"}, r"activation to be one of .*, got 'relu'"),
        ({"weights": "found"}, r"weights to be one of .*, got 'found'"),
        ({"format": 2}, "of format 1, got 2; export the model again"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        replace(CARD, **change)


def test_a_card_is_read_as_it_was_written() -> None:
    assert ModelCard.from_json(CARD.to_json()) == CARD


def test_fields_of_later_cards_are_passed_over() -> None:
    later = CARD.to_json().removesuffix("}") + ',"colour":"blue"}'
    assert ModelCard.from_json(later) == CARD


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}", '{"labels":1}'])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="expected a model card as JSON"):
        ModelCard.from_json(text)
