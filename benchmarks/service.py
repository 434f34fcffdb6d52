"""Run the whole service on an untrained DenseNet121, beside the bare model."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import grpc
import numpy as np
import psutil
from PIL import Image

import serving
from benchmarks.effort import say
from benchmarks.posting import Load, post
from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire
from serving.contract import INPUT_IMAGE, MODEL_NAME, SIGNATURE_GRADCAM
from tests.support.images import nih_files
from tests.support.workers import Stack, running_stack

# Named, as an untrained network finds something in nearly every label.
THREE = "Mass,Edema,Effusion"
ALL = "all"
_BATCH = 8  # of a bare call
_SECONDS = 6.0
MODEL_FLAGS = (
    "--enable_batching=true",
    f"--batching_parameters_file={Path(serving.__file__).parent / 'batching.config'}",
    "--tensorflow_intra_op_parallelism=1",  # as `cxr up` and the manifests set it
)


@dataclass(frozen=True)
class Service:
    """The processes under test, and the files that are sent to them.

    Attributes:
        stack: The processes.
        folder: For files.
        ready: Seconds from their start until all of them were ready.
    """

    stack: Stack
    folder: Path
    ready: float

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
        return post(self.port, file, heatmaps, clients, requests)

    @property
    def port(self) -> int:
        """Return the API's port."""
        port = self.stack.client.base_url.port
        assert port is not None
        return port

    def core_seconds(self) -> float:
        """Return the processor time that the processes under test have taken."""
        times = [process.cpu_times() for process in self.processes().values()]
        return float(sum(each.user + each.system for each in times))

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
    """Start everything on an untrained DenseNet121."""
    model = exported(precision)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        with running_stack(
            folder / "stack", model, workers, MODEL_FLAGS, LOG_LEVEL="warning"
        ) as stack:
            yield Service(stack, folder, time.perf_counter() - begin)


@cache
def exported(precision: str) -> Path:
    """Export the untrained DenseNet121, once in a run."""
    say(f"exporting an untrained DenseNet121 in {precision}")
    output = Path(_folder().name) / precision
    export = ["export", "--untrained", "--precision", precision, "--output", str(output)]
    subprocess.run([sys.executable, "-m", "orchestrator", *export], check=True, capture_output=True)
    return output


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that lasts until the run ends."""
    return tempfile.TemporaryDirectory()


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


def bare_rate(target: str) -> tuple[float, float]:
    """Return images per second of the model server alone, asked by two callers, and for how long."""
    with bare_call(target, _BATCH) as call:
        begin = time.perf_counter()

        def ask(_: int) -> int:
            count = 0
            while time.perf_counter() - begin < _SECONDS:
                call()
                count += _BATCH
            return count

        with ThreadPoolExecutor(2) as pool:
            images = sum(pool.map(ask, range(2)))
        took = time.perf_counter() - begin
    return images / took, took
