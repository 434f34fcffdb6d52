"""Measure jobs: how many are finished per second beside what the bare model does, and what a worker holds."""

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

import serving
from benchmarks.bounds import Figure
from orchestrator import tensors
from orchestrator import wire_pb2 as wire
from serving.contract import INPUT_IMAGE, MODEL_NAME, SIGNATURE_GRADCAM
from tests.support.images import nih_files
from tests.support.workers import Stack, running_stack

ROUNDS = 3
JOBS = 120
BARE_SECONDS = 6.0
BATCH = 8
WORKERS = 4  # the model answers more images a second the more of them it gets at once
SUBMISSIONS = 500
# One overlay each, as of a radiograph with one finding; an untrained network finds something in most labels.
OPTIONS = {"heatmaps": "Mass", "max_size": "1024"}
RATE_BOUND = 0.5
MEMORY_BOUND = 150.0
ANSWER_BOUND = 1.0


def measure() -> list[Figure]:
    """Run the whole service on an untrained DenseNet121, in turns with the bare model."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export = ["export", "--untrained", "--output", str(folder / "densenet")]
        subprocess.run([sys.executable, "-m", "orchestrator", *export], check=True)
        config = Path(serving.__file__).parent / "batching.config"
        flags = (
            *("--enable_batching=true", f"--batching_parameters_file={config}"),
            "--tensorflow_intra_op_parallelism=1",  # as `cxr up` and the manifests set it
        )
        with running_stack(
            folder / "stack", folder / "densenet", WORKERS, flags, LOG_LEVEL="warning"
        ) as stack:
            return _measure(stack)


def _measure(stack: Stack) -> list[Figure]:
    radiographs = [path.read_bytes() for path in nih_files()]
    stack.wait(stack.submit(radiographs[:8]))  # horses are forked, channels opened
    rounds = [_round(stack, radiographs) for _ in range(ROUNDS)]
    rates = [round_["jobs"] / round_["bare"] for round_ in rounds]
    figures = [
        Figure(
            "finished jobs per second / images per second of the bare model at batch 8",
            statistics.median(rates),
            least=RATE_BOUND,
        ),
        Figure("finished jobs per second", statistics.median(r["jobs"] for r in rounds), "/s"),
        Figure("images per second, bare", statistics.median(r["bare"] for r in rounds), "/s"),
    ]
    figures += [
        Figure(f"a job's time in '{name}'", statistics.median(r[name] for r in rounds), "ms")
        for name in ("decoding", "predicting", "rendering", "storing")
    ]
    figures.append(
        Figure(
            "memory of a worker and its work-horse, shared pages counted once",
            worker_megabytes(stack),
            "MB",
            bound=MEMORY_BOUND,
        )
    )
    return [*figures, *_answers(stack, radiographs)]


def _round(stack: Stack, radiographs: list[bytes]) -> dict[str, float]:
    """Time the bare model, then how fast a full queue is worked off."""
    bare, _ = bare_rate(stack.model_target)
    uploads = [radiographs[number % len(radiographs)] for number in range(JOBS)]
    for worker in stack.workers:
        worker.running.send_signal(signal.SIGSTOP)
    tasks = stack.submit(uploads, threads=8, **OPTIONS)
    begin = time.time()
    for worker in stack.workers:
        worker.running.send_signal(signal.SIGCONT)
    done = stack.wait(tasks, pause=0.5)
    seconds = max(_moment(task["finished_at"]) for task in done.values()) - begin
    timings = [report["timings_ms"] for report in stack.reports(tasks)]
    found = {"bare": bare, "jobs": JOBS / seconds}
    for name in ("decoding", "predicting", "rendering"):
        found[name] = statistics.median(timing[name] for timing in timings)
    whole = [
        1000 * (_moment(task["finished_at"]) - _moment(task["started_at"]))
        for task in done.values()
    ]
    rest = [all_ - sum(timing.values()) for all_, timing in zip(whole, timings, strict=True)]
    return found | {"storing": statistics.median(rest)}


def bare_rate(target: str) -> tuple[float, float]:
    """Return images per second of the model server alone, and for how long: batches of eight, two callers."""
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 1), np.uint8)
    spec = wire.ModelSpec(name=MODEL_NAME, signature_name=SIGNATURE_GRADCAM)
    request = wire.PredictRequest(model_spec=spec, inputs={INPUT_IMAGE: tensors.encode(pixels)})
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )
        call(request, timeout=60)
        begin = time.perf_counter()

        def ask(_: int) -> int:
            count = 0
            while time.perf_counter() - begin < BARE_SECONDS:
                call(request, timeout=60)
                count += BATCH
            return count

        with ThreadPoolExecutor(2) as pool:
            images = sum(pool.map(ask, range(2)))
        seconds = time.perf_counter() - begin
        return images / seconds, seconds


def worker_megabytes(stack: Stack) -> float:
    """Return the most that a worker holds, in proportional set size: worker and horse share most pages."""
    held = [
        sum(
            process.memory_full_info().pss
            for process in [psutil.Process(worker.running.pid), *worker.horses()]
        )
        for worker in stack.workers
    ]
    return float(max(held)) / 1e6


def _answers(stack: Stack, radiographs: list[bytes]) -> list[Figure]:
    """Submit five hundred at once, and see how long each waits for its answer."""
    seconds: list[float] = []

    def submit(number: int) -> str:
        begin = time.perf_counter()
        task: Any = stack.submit_one(radiographs[number % len(radiographs)], heatmaps="none")
        seconds.append(time.perf_counter() - begin)
        return str(task)

    with ThreadPoolExecutor(32) as pool:
        tasks = list(pool.map(submit, range(SUBMISSIONS)))
    done = stack.wait(tasks, seconds=600)
    lost = sum(task["status"] != "SUCCESS" for task in done.values())
    return [
        Figure(
            f"99th percentile of the answers to {SUBMISSIONS} submissions, 32 at a time",
            sorted(seconds)[int(0.99 * len(seconds))],
            "s",
            bound=ANSWER_BOUND,
        ),
        Figure(f"of {SUBMISSIONS} jobs, those without a result", lost, bound=0),
    ]


def _moment(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
