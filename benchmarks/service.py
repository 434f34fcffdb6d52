"""Run the whole service on an untrained DenseNet121, beside the bare model."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grpc
import numpy as np
import psutil
from PIL import Image

import serving
from orchestrator import tensors
from orchestrator import wire_pb2 as wire
from serving.contract import INPUT_IMAGE, MODEL_NAME, SIGNATURE_GRADCAM
from tests.support.images import nih_files
from tests.support.workers import Stack, running_stack

# Named, as an untrained network finds something in nearly every label.
THREE = "Mass,Edema,Effusion"
ALL = "all"
MODEL_FLAGS = (
    "--enable_batching=true",
    f"--batching_parameters_file={Path(serving.__file__).parent / 'batching.config'}",
    "--tensorflow_intra_op_parallelism=1",  # as `cxr up` and the manifests set it
)


@dataclass(frozen=True)
class Load:
    """What a client found.

    Attributes:
        milliseconds: Of every answered request.
        refused: How many were answered 503.
        failed: How many were answered something else.
        seconds: From the first request to the last answer.
        processor: Seconds of processor time that the client itself took.
    """

    milliseconds: list[float]
    refused: int
    failed: int
    seconds: float
    processor: float

    @property
    def rate(self) -> float:
        """Return answered requests per second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the milliseconds that a share of the requests kept within."""
        return percentile(self.milliseconds, share)


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(1000 * share) * len(ordered) // 1000) - 1)]


@dataclass(frozen=True)
class Service:
    """The processes under test, and the files that are sent to them."""

    stack: Stack
    folder: Path

    @cached_property
    def png(self) -> Path:
        """Return a radiograph of 1024x1024 pixels."""
        return nih_files()[0]

    @cached_property
    def jpeg(self) -> Path:
        """Return the same at 2400x2400 pixels, as JPEG."""
        path = self.folder / "large.jpg"
        with Image.open(self.png) as image:
            image.convert("L").resize((2400, 2400)).save(path, quality=90)
        return path

    @cached_property
    def small(self) -> Path:
        """Return it at 256x256 pixels."""
        path = self.folder / "small.png"
        with Image.open(self.png) as image:
            image.convert("L").resize((256, 256)).save(path)
        return path

    def post(self, file: Path, heatmaps: str, clients: int, requests: int) -> Load:
        """Let a client process post a file."""
        port = str(self.stack.client.base_url.port)
        arguments = [port, str(file), heatmaps, str(clients), str(requests)]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.client", *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        load = Load(
            found["answered"],
            found["refused"],
            found["failed"],
            found["seconds"],
            found["processor"],
        )
        if load.failed or not load.milliseconds:
            raise RuntimeError(f"{load.failed} of {requests} requests failed")
        return load

    def processes(self) -> dict[str, psutil.Process]:
        """Return what answers a request: the API, the model server, Redis."""
        assert self.stack.redis.process is not None
        return {
            "API": psutil.Process(self.stack.api.running.pid),
            "model server": psutil.Process(self.stack.model.running.pid),
            "Redis": psutil.Process(self.stack.redis.process.pid),
        }


@contextmanager
def running_service(precision: str = "float32", workers: int = 0) -> Iterator[Service]:
    """Export the model and start everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export = ["export", "--untrained", "--precision", precision]
        subprocess.run(
            [sys.executable, "-m", "orchestrator", *export, "--output", str(folder / "densenet")],
            check=True,
            capture_output=True,
        )
        with running_stack(
            folder / "stack", folder / "densenet", workers, MODEL_FLAGS, LOG_LEVEL="warning"
        ) as stack:
            yield Service(stack, folder)


@contextmanager
def bare_call(target: str, batch: int) -> Iterator[Callable[[], object]]:
    """Yield a call of the model server alone, with ready tensors."""
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 1), np.uint8)
    spec = wire.ModelSpec(name=MODEL_NAME, signature_name=SIGNATURE_GRADCAM)
    request = wire.PredictRequest(model_spec=spec, inputs={INPUT_IMAGE: tensors.encode(pixels)})
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )
        call(request, timeout=60)
        yield lambda: call(request, timeout=60)


def bare_rate(target: str, batch: int = 8, seconds: float = 6.0) -> tuple[float, float]:
    """Return images per second of the model server alone, asked by two callers, and for how long."""
    with bare_call(target, batch) as call:
        begin = time.perf_counter()

        def ask(_: int) -> int:
            count = 0
            while time.perf_counter() - begin < seconds:
                call()
                count += batch
            return count

        with ThreadPoolExecutor(2) as pool:
            images = sum(pool.map(ask, range(2)))
        took = time.perf_counter() - begin
    return images / took, took
