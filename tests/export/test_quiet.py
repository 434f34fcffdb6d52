"""Commands that need TensorFlow say so where it is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
sys.modules["tensorflow"] = None  # as if it were not installed
from orchestrator.cli import main
main(prog_name="cxr")
"""


@pytest.mark.parametrize("command", ["export model.keras --output models", "train-demo"])
def test_a_command_without_tensorflow_says_how_to_get_it(command: str, tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    run = [sys.executable, "-c", SCRIPT, *command.split()]
    ended = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "Error: this command needs the package 'tensorflow', which is not installed; install this project with its"
        " extra 'model'"
    ]
