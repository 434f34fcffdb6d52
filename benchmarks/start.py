"""Measure what a start costs: importing the orchestrator, the way to ready, and what each process then holds."""

import json
import subprocess
import sys
import time

from benchmarks.effort import Effort
from benchmarks.figures import Figure
from benchmarks.memory import held, held_by_workers
from benchmarks.service import THREE, Service, running_service
from tests.support.api import wait_until_answered
from tests.support.images import nih_files

IMPORT_BOUND = 1.0
MEMORY_BOUND = 120.0

SCRIPT = """
import time
begin = time.perf_counter()
import importlib, pkgutil, json
import gradcam, orchestrator
for package in (gradcam, orchestrator):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
seconds = time.perf_counter() - begin
import psutil
print(json.dumps([seconds, psutil.Process().memory_info().rss / 1e6]))
"""


def measure(effort: Effort) -> list[Figure]:
    """Import every module in fresh processes, then start the service a few times."""
    runs = [_run() for _ in effort.rounds(7, "importing everything")]
    figures = [
        Figure.of(
            "import of every orchestrator and gradcam module",
            [seconds for seconds, _ in runs],
            "s",
            bound=IMPORT_BOUND,
        ),
        Figure.of("resident memory after it", [held for _, held in runs], "MB", bound=MEMORY_BOUND),
    ]
    ready: list[float] = []
    api: list[float] = []
    for _ in effort.rounds(3, "starting the service"):
        with running_service(workers=1) as service:
            ready.append(service.ready)
            api.append(_again(service))
            megabytes = _held(service)
    return [
        *figures,
        Figure.of("from start to ready: Redis, model server, API, one worker", ready, "s"),
        Figure.of("from start to ready: the API, the others being there", api, "s"),
        *(
            Figure(f"resident memory of {part} after its first work", value, "MB")
            for part, value in megabytes.items()
        ),
    ]


def _run() -> tuple[float, float]:
    run = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


def _again(service: Service) -> float:
    """End the API, start it again, and return the seconds until it is ready."""
    stack = service.stack
    stack.api.stop()
    begin = time.perf_counter()
    stack.api.start()
    wait_until_answered(stack.client, "/health/ready", stack.api.running)
    return time.perf_counter() - begin


def _held(service: Service) -> dict[str, float]:
    """Return megabytes of each process after a request and a job, shared pages counted in proportion."""
    stack = service.stack
    service.post(service.png, THREE, clients=1, requests=3)
    stack.wait(stack.submit([nih_files()[0].read_bytes()], heatmaps=THREE))
    return held(service) | held_by_workers(service)
