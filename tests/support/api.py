"""Start the API as a real process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port


@contextmanager
def running_api(log: Path, **settings: str) -> Iterator[httpx.Client]:
    """Run ``cxr serve`` with settings of its own, its log in a file, and yield a client of it.

    Redis and model server are away unless named: at their usual ports somebody's own may be.
    """
    port = free_port()
    own = {
        "PORT": str(port),
        "DATA_DIR": str(log.parent / "data"),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "MODEL_SERVER": "127.0.0.1:1",
    }
    environment = {**os.environ, **own, **settings}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "serve"],
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_answered(client, "/health", process)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_until_answered(
    client: httpx.Client, path: str, process: subprocess.Popen[bytes], seconds: float = 60
) -> None:
    """Wait until a path answers 200, or fail with what it answered last."""
    until = time.monotonic() + seconds
    last = "nothing"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"the process ended with status {process.returncode}")
        try:
            response = client.get(path)
        except httpx.TransportError as err:
            last = repr(err)
        else:
            if response.status_code == 200:
                return
            last = response.text
        time.sleep(0.1)
    raise AssertionError(f"{path} did not answer 200 within {seconds} s; last: {last}")
