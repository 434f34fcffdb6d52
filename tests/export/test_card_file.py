import json
from pathlib import Path

import pytest

from export.card_file import card_file, read_card_file, settle
from export.errors import ExportError
from serving.contract import DEFAULT_LABELS

BESIDE = {
    "labels": ["Mass"],
    "thresholds": [0.2],
    "resize": "crop",
    "derived": {"No Finding": "a rule"},
}


def test_a_model_without_a_card_file_has_nothing_beside_it(tmp_path: Path) -> None:
    assert read_card_file(tmp_path / "model.keras") == {}


@pytest.mark.parametrize("model", [".", "..", "/"])
def test_a_folder_has_nothing_beside_it(model: str) -> None:
    assert read_card_file(Path(model)) == {}


def test_the_file_is_named_after_the_model(tmp_path: Path) -> None:
    assert card_file(tmp_path / "xrv.keras") == tmp_path / "xrv.card.json"
    (tmp_path / "xrv.card.json").write_text(json.dumps(BESIDE))
    assert read_card_file(tmp_path / "xrv.keras") == BESIDE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "JSON"),
        ("[]", "list"),
        ('{"labels": "Mass"}', "labels"),
        ('{"thresholds": ["high"]}', "thresholds"),
        ('{"verification": {}}', "verification"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    card_file(tmp_path / "xrv.keras").write_text(text)
    with pytest.raises(ExportError, match=reason):
        read_card_file(tmp_path / "xrv.keras")


def test_the_command_line_wins_where_it_says_anything() -> None:
    settled = settle(BESIDE, {"resize": "squash", "preprocess": None})
    assert settled == {**BESIDE, "resize": "squash"}


def test_other_labels_do_not_take_the_thresholds_of_those_beside() -> None:
    assert "thresholds" not in settle(BESIDE, {"labels": ["Edema"]})
    assert settle(BESIDE, {"labels": None})["thresholds"] == [0.2]


def test_the_same_labels_again_keep_the_thresholds_of_those_beside() -> None:
    assert settle(BESIDE, {"labels": ("Mass",)})["thresholds"] == [0.2]


def test_the_same_labels_in_another_order_are_other_labels() -> None:
    beside = {"labels": ["Mass", "Edema"], "thresholds": [0.2, 0.7]}
    assert "thresholds" not in settle(beside, {"labels": ("Edema", "Mass")})


def test_thresholds_without_labels_beside_them_belong_to_the_default_ones() -> None:
    beside = {"thresholds": [0.2] * 15}
    assert settle(beside, {"labels": DEFAULT_LABELS})["thresholds"] == [0.2] * 15
    assert "thresholds" not in settle(beside, {"labels": DEFAULT_LABELS[::-1]})
