"""Test the stand-in as a process: announcement, signals."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import Start
from tests.support.model_server import Kind, announced, model_flags
from tests.support.ports import free_port

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="session")
def kind() -> Kind:
    return "embedded"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_when_told(
    start: Start, servables: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(servables / "one")
    with start(*model_flags(tmp_path / "models")) as server:
        expected = {"grpc_port": server.grpc_port, "rest_port": server.rest_port}
        assert server.get("/v1/models/densenet")[0] == 200
        assert announced(server) == expected
        assert server.stop(number) == 0


def test_it_can_be_stopped_while_it_waits_for_a_version(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.embedded", *model_flags(tmp_path), "--port=0"],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b"No versions" in process.stderr.readline()
    process.terminate()
    process.stderr.close()
    assert process.wait(60) == 0


def test_a_port_that_is_taken_ends_it(start: Start, servables: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(servables / "two")
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "serving.embedded", f"--port={port}"]
        result = subprocess.run(
            [*command, *model_flags(tmp_path / "models")],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert result.returncode == 1
    assert f"could not listen on 127.0.0.1:{port}" in result.stderr
