"""The one command that starts everything, as a user runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.api import wait_until_answered
from tests.support.images import gradient, png
from tests.support.ports import free_port
from tests.support.processes import lives
from tests.support.waiting import eventually

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small Keras classifier of two labels, and their names."""
    from tests.support.tiny_models import small_model

    folder = tmp_path_factory.mktemp("model")
    small_model(outputs=2).save(folder / "small.keras")
    (folder / "labels.txt").write_text("Mass\nNo Finding\n")
    return folder / "small.keras"


def start(data_dir: Path, model: Path, port: int, **settings: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PORT": str(port),
        "DATA_DIR": str(data_dir),
        "MODEL_PATH": str(model),
        "MODEL_LABELS": str(model.with_name("labels.txt")),
        "MODEL_PREPROCESS": "rescale",
        **settings,
    }
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may be run under nohup
    with data_dir.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "up"], env=environment, stdout=log, stderr=log
        )
    signal.signal(signal.SIGHUP, before)
    return process


def stop(
    process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGINT
) -> list[psutil.Process]:
    """Press Ctrl-C, or close the terminal, and return the processes that are left."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    assert process.wait(30) == 0
    return [child for child in family if child.is_running()]


@pytest.mark.slow
def test_it_exports_each_model_once_serves_restarts_and_leaves_nothing_behind(
    model_file: Path, tmp_path: Path
) -> None:
    data_dir, port = tmp_path / "data", free_port()
    log = data_dir.with_suffix(".log")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        check_a_life(client, data_dir, model_file, port)
    assert log.read_text().count("Exporting the model") == 2


def check_a_life(client: httpx.Client, data_dir: Path, model_file: Path, port: int) -> None:
    """Start, ask, start twice, kill the model server, stop, start again, and start with another model."""
    first = start(data_dir, model_file, port)
    wait_until_answered(client, "/health/ready", first, seconds=240)
    answer = client.post("/densenet_predict", files={"file": png(gradient(64, 64))})
    assert answer.status_code == 200

    second = start(data_dir, model_file, free_port())
    assert second.wait(30) == 1
    assert "another 'cxr up' is running" in data_dir.with_suffix(".log").read_text()

    server = next(
        child for child in psutil.Process(first.pid).children() if "model-server" in child.cmdline()
    )
    server.kill()
    server.wait(10)
    away = client.post("/densenet_predict", files={"file": png(gradient(64, 64))})
    assert (away.status_code, away.json()["code"]) == (503, "model_unavailable")
    assert int(away.headers["retry-after"]) > 0
    wait_until_answered(client, "/health/ready", first, seconds=60)
    assert (
        client.post("/densenet_predict", files={"file": png(gradient(64, 64))}).status_code == 200
    )
    assert stop(first) == []

    third = start(data_dir, model_file, port)
    wait_until_answered(client, "/health/ready", third, seconds=60)
    assert client.get("/health/ready").json()["model"]["version"] == 1
    assert stop(third, signal.SIGHUP) == []

    fourth = start(data_dir, model_file, port, MODEL_PREPROCESS="none")
    wait_until_answered(client, "/health/ready", fourth, seconds=240)
    assert client.get("/health/ready").json()["model"]["version"] == 2
    assert stop(fourth) == []


def test_the_exporter_ends_with_whoever_waits_for_it(model_file: Path, tmp_path: Path) -> None:
    process = start(tmp_path / "data", model_file, free_port())
    exporter = eventually(lambda: child_of(process, "export"))
    process.terminate()
    assert process.wait(30) == -signal.SIGTERM
    eventually(lambda: not lives(exporter))
    assert not list((tmp_path / "data" / "models").glob("densenet/[0-9]*"))


def child_of(process: subprocess.Popen[bytes], command: str) -> psutil.Process | None:
    """Return the process that runs a command of ours, if there is one."""
    children = psutil.Process(process.pid).children()
    return next((child for child in children if command in child.cmdline()), None)


def test_a_taken_port_is_refused_before_anything_starts(model_file: Path, tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path / "data", model_file, taken.getsockname()[1])
        assert process.wait(30) == 1
    assert "HOST, PORT: expected an address of this machine" in (tmp_path / "data.log").read_text()
    assert not (tmp_path / "data" / "models").exists()


def test_a_missing_model_file_is_refused_naming_the_setting(tmp_path: Path) -> None:
    process = start(tmp_path / "data", tmp_path / "missing.keras", free_port())
    assert process.wait(30) == 1
    assert "MODEL_PATH" in (tmp_path / "data.log").read_text()


def test_ports_for_figures_that_do_not_exist_are_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    settings = {"METRICS_PORT": "65534", "WORKERS": "2"}
    process = start(tmp_path / "data", tmp_path / "missing.keras", free_port(), **settings)
    assert process.wait(30) == 1
    log = (tmp_path / "data.log").read_text()
    assert "METRICS_PORT: expected a number up to 65533" in log
    assert "MODEL_PATH" not in log
