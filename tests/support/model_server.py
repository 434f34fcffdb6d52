"""Run a model server as a real process: the embedded stand-in, or a genuine tensorflow_model_server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import grpc
import numpy as np
from numpy.typing import NDArray

from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire
from serving.contract import MODEL_NAME
from tests.support.ports import free_port

Kind = Literal["embedded", "genuine"]

GENUINE_VARIABLE = "TENSORFLOW_MODEL_SERVER"  # names a tensorflow_model_server binary
_EMBEDDED = (sys.executable, "-m", "serving.embedded")
_START_SECONDS = 240.0


class DidNotStartError(Exception):
    """The server ended instead of serving; the message is its log."""


@dataclass
class RunningServer:
    """A model server and raw calls of it, which raise `grpc.RpcError`."""

    process: subprocess.Popen[bytes]
    grpc_port: int
    rest_port: int
    log: Path
    channel: grpc.Channel

    @property
    def target(self) -> str:
        """Return the address of its gRPC."""
        return f"127.0.0.1:{self.grpc_port}"

    def predict(
        self,
        signature: str,
        inputs: Mapping[str, NDArray[Any] | wire.TensorProto],
        *,
        model: str = MODEL_NAME,
        version: int | None = None,
        label: str | None = None,
        output_filter: Sequence[str] = (),
    ) -> wire.PredictResponse:
        """Call PredictionService/Predict."""
        spec = wire.ModelSpec(name=model, signature_name=signature)
        if version is not None:
            spec.version.value = version
        if label is not None:
            spec.version_label = label
        request = wire.PredictRequest(
            model_spec=spec,
            inputs={
                name: value if isinstance(value, wire.TensorProto) else tensors.encode(value)
                for name, value in inputs.items()
            },
            output_filter=output_filter,
        )
        call = self.channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )
        return call(request, timeout=120)

    def status(self, model: str = MODEL_NAME) -> dict[int, str]:
        """Call ModelService/GetModelStatus; return a state per version."""
        call = self.channel.unary_unary(
            "/tensorflow.serving.ModelService/GetModelStatus",
            request_serializer=wire.GetModelStatusRequest.SerializeToString,
            response_deserializer=wire.GetModelStatusResponse.FromString,
        )
        response = call(
            wire.GetModelStatusRequest(model_spec=wire.ModelSpec(name=model)), timeout=120
        )
        name = wire.ModelVersionStatus.State.Name
        return {entry.version: name(entry.state) for entry in response.model_version_status}

    def wait_for(self, expected: Mapping[int, str], seconds: float = 180) -> None:
        """Wait until these versions are in these states."""
        until = time.monotonic() + seconds
        while (states := self.status()) != {**states, **expected}:
            assert time.monotonic() < until, f"expected {expected}, got {states}"
            time.sleep(0.1)

    def get(self, path: str) -> tuple[int, str]:
        """Fetch a path of the REST port."""
        url = f"http://127.0.0.1:{self.rest_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, err.read().decode()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def genuine_binary() -> str | None:
    """Return the path of a genuine tensorflow_model_server, if one was named."""
    return os.environ.get(GENUINE_VARIABLE)


@contextmanager
def model_server(kind: Kind, log: Path, *flags: str) -> Iterator[RunningServer]:
    """Run a server until the block ends.

    Args:
        kind: Which of the two; ``genuine`` needs `genuine_binary`.
        log: File for what it writes.
        flags: All but the ports.

    Raises:
        DidNotStartError: It ended before it served.
    """
    command = _EMBEDDED if kind == "embedded" else (str(genuine_binary()),)
    ports = free_port(), free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--port={ports[0]}", f"--rest_api_port={ports[1]}", *flags],
            stdout=output,
            stderr=output,
        )
    channel = grpc.insecure_channel(f"127.0.0.1:{ports[0]}")
    try:
        _wait_until_open(ports[1], process, log)
        yield RunningServer(process, *ports, log, channel)
    finally:
        channel.close()
        process.kill()
        process.wait()


def model_flags(base_path: Path) -> tuple[str, ...]:
    """Return the flags that serve the versions under a path, and give up soon on a bad one."""
    return (
        f"--model_name={MODEL_NAME}",
        f"--model_base_path={base_path}",
        "--file_system_poll_wait_seconds=1",
        "--max_num_load_retries=0",
        "--load_retry_interval_micros=1000",
    )


def announced(server: RunningServer) -> dict[str, int]:
    """Return what the embedded server says of its ports."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for line in server.log.read_text().splitlines():
            if line.startswith("{"):
                announcement: dict[str, int] = json.loads(line)
                return announcement
        time.sleep(0.05)
    raise AssertionError("the server did not say where it listens")


def pixels(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return dark random pixels of a shape."""
    return np.random.default_rng(seed).integers(0, 255, shape, np.uint8)


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise DidNotStartError(log.read_text())
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise DidNotStartError(f"no answer within {_START_SECONDS} s: {log.read_text()}")
