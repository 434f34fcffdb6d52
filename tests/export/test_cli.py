"""Check the command ``cxr export`` in processes of its own."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from export.cli import export
from tests.support.tiny_models import PLANTED_LABELS, planted_model, small_model

pytestmark = pytest.mark.tensorflow

PROGRAM = "from export.cli import export; export()"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
    )


def digests(version: Path) -> dict[str, str]:
    files = sorted(path for path in version.rglob("*") if path.is_file())
    return {
        str(path.relative_to(version)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.slow
def test_two_exports_of_one_file_are_the_same_servable_digest_for_digest(tmp_path: Path) -> None:
    planted_model().save(tmp_path / "planted.keras")
    (tmp_path / "labels.txt").write_text("\n".join(PLANTED_LABELS))
    arguments: list[str | Path] = [
        tmp_path / "planted.keras", "--labels", tmp_path / "labels.txt", "--preprocess", "rescale",
        "--output", tmp_path / "out",
    ]  # fmt: skip
    results = [run(*arguments) for _ in range(2)]

    assert [result.returncode for result in results] == [0, 0], results[0].stderr
    assert results[1].stdout.strip() == str(tmp_path / "out" / "2")
    assert digests(tmp_path / "out" / "1") == digests(tmp_path / "out" / "2")
    assert set(digests(tmp_path / "out" / "1")) == {
        "saved_model.pb", "assets.extra/tf_serving_warmup_requests",
    }  # fmt: skip


def test_progress_is_told_and_tensorflow_is_silent(tmp_path: Path) -> None:
    small_model().save(tmp_path / "small.keras")
    result = run(tmp_path / "small.keras", "--output", tmp_path / "out")
    assert result.stdout == f"{tmp_path / 'out' / '1'}\n"
    lines = result.stderr.splitlines()
    assert lines[0] == f"Loading {tmp_path / 'small.keras'}"
    assert lines[-1] == f"Published {tmp_path / 'out' / '1'}"
    assert not [
        line for line in lines if "0000" in line or "WARNING" in line or "Instructions" in line
    ]


def test_a_refusal_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    small_model(outputs=4).save(tmp_path / "small.keras")
    result = run(tmp_path / "small.keras", "--output", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(
        "Error: expected one label per output of the model: it has 4"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"thresholds": [0.5, 0.5]}, "one threshold per label (15), got 2"),
        ({"thresholds": [1.5] * 15}, "thresholds in [0, 1]"),
        ({"labels": ["Mass"] * 15}, "labels that are all different"),
        ({"resize": "fit"}, "resize to be one of ('squash', 'crop'), got 'fit'"),
        ({"preprocess": "torch"}, "densenet, rescale, none, got 'torch'"),
    ],
)
def test_a_card_file_that_contradicts_itself_is_refused_with_a_sentence(
    beside: dict[str, Any], message: str, tmp_path: Path
) -> None:
    small_model().save(tmp_path / "small.keras")
    (tmp_path / "small.card.json").write_text(json.dumps(beside))
    arguments = [str(tmp_path / "small.keras"), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(export, arguments)
    assert result.exit_code == 1
    assert message in result.output.splitlines()[-1]


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    result = CliRunner().invoke(export, [".", "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "Error: expected a whole model saved with" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of MODEL, --untrained and --demo, got none"),
        (["m.keras", "--untrained"], "one of MODEL, --untrained and --demo, got 2"),
        (["m.keras", "--batch-sizes", "1,x"], "--batch-sizes like 1,2,4,8, got '1,x'"),
        (["m.keras", "--input-size", "224"], "--input-size like 224x224, got '224'"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(export, [*arguments, "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.output
