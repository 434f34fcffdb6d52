import json
from pathlib import Path
from typing import Any

import pytest

from serving.contract import DEFAULT_LABELS

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what an export was asked for, in place of one."""
    asked: dict[str, Any] = {}

    def export_model(_: object, output: Path, **options: Any) -> Path:
        asked.update(options)
        return output / "1"

    monkeypatch.setattr("export.run.export_model", export_model)
    monkeypatch.setattr("export.untrained.export_model", export_model)
    monkeypatch.setattr("export.run.load_model", lambda *_, **__: None)
    return asked


def run(folder: Path, **options: Any) -> None:
    from export.run import run_export

    given: dict[str, Any] = {
        "model": folder / "xrv.keras",
        "demo": False,
        "labels": None,
        "seed": 0,
        "preprocess": None,
        "resize": None,
    }
    settings = {"trust_custom_objects": False, "report": lambda _: None}
    run_export(output=folder / "densenet", **(given | settings | options))


def test_what_stands_beside_the_model_fills_in_what_the_command_line_leaves_open(
    tmp_path: Path, exported: dict[str, Any]
) -> None:
    beside = {"labels": ["Mass"], "thresholds": [0.2], "resize": "crop", "preprocess": "none"}
    (tmp_path / "xrv.card.json").write_text(json.dumps(beside))
    run(tmp_path, resize="squash")
    del exported["report"]
    assert exported == beside | {"resize": "squash"}


def test_labels_of_the_command_line_win(tmp_path: Path, exported: dict[str, Any]) -> None:
    beside = {"labels": ["Mass"], "thresholds": [0.2]}
    (tmp_path / "xrv.card.json").write_text(json.dumps(beside))
    (tmp_path / "labels.txt").write_text("Edema\n")
    told: list[str] = []
    run(tmp_path, labels=tmp_path / "labels.txt", report=told.append)
    assert exported["labels"] == ("Edema",)
    assert "thresholds" not in exported
    assert told[0].startswith("Leaving out the thresholds beside the model")


def test_the_labels_beside_the_model_given_again_leave_its_thresholds(
    tmp_path: Path, exported: dict[str, Any]
) -> None:
    beside = {"labels": ["Mass", "Edema"], "thresholds": [0.2, 0.7]}
    (tmp_path / "xrv.card.json").write_text(json.dumps(beside))
    (tmp_path / "labels.txt").write_text("Mass\nEdema\n")
    told: list[str] = []
    run(tmp_path, labels=tmp_path / "labels.txt", report=told.append)
    assert exported["thresholds"] == [0.2, 0.7]
    assert [step.partition(" ")[0] for step in told] == ["Loading"]


def test_without_anything_said_the_exporters_own_defaults_hold(
    tmp_path: Path, exported: dict[str, Any]
) -> None:
    run(tmp_path)
    assert set(exported) == {"report"}


def test_the_untrained_network_has_the_default_labels(
    tmp_path: Path, exported: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.untrained.build_untrained", lambda *_: None)
    run(tmp_path, model=None)
    assert exported.get("labels", DEFAULT_LABELS) == DEFAULT_LABELS
    assert exported["weights"] == "untrained"
    assert "preprocess" not in exported
