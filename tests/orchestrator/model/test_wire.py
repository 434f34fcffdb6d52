"""Test the messages of our own against the official ones, in a process that may load TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_the_generated_module_is_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools")
    options = ["-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *options, "orchestrator/model/wire.proto"],
        check=True,
        cwd=ROOT,
    )
    for name in ("wire_pb2.py", "wire_pb2.pyi"):
        generated = (tmp_path / "orchestrator/model" / name).read_text()
        assert (ROOT / "orchestrator/model" / name).read_text() == generated, "run 'make proto'"


@pytest.mark.tensorflow
def test_every_message_round_trips_with_the_official_one() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.orchestrator.model.compare_wire"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
