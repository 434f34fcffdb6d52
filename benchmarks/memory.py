"""Measure what stays in memory: each process after 5,000 requests beside after 500, the workers after as many jobs."""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence

import psutil

from benchmarks.effort import Effort, say
from benchmarks.figures import Figure
from benchmarks.service import Service, running_service

FIRST, LAST = 500, 5000
CLIENTS = 8
WORKERS = 2
BURST = 100
LABELS = "Mass"
GROWTH_BOUND = 1.05
READINGS = 5


def measure(effort: Effort) -> list[Figure]:
    """Post small radiographs with one overlay each, most of a request's paths at a tenth of its work."""
    first, last = effort.of(FIRST, 20), effort.of(LAST, 40)
    with running_service(workers=WORKERS) as service:
        say(f"{last} requests")
        service.post(service.small, LABELS, CLIENTS, first)
        before = held(service)
        service.post(service.small, LABELS, CLIENTS, last - first)
        figures = _growth(before, held(service), "requests", first, last)
        say(f"{last} jobs")
        _work(service, first)
        before = held_by_workers(service)
        _work(service, last - first)
        return figures + _growth(before, held_by_workers(service), "jobs", first, last)


def _growth(
    before: Mapping[str, float], after: Mapping[str, float], what: str, first: int, last: int
) -> list[Figure]:
    figures: list[Figure] = []
    for part, megabytes in after.items():
        text = f"resident memory of {part} after {last:,} {what}"
        figures += [
            Figure(f"{text} / after {first:,}", megabytes / before[part], bound=GROWTH_BOUND),
            Figure(text, megabytes, "MB"),
        ]
    return figures


def _work(service: Service, jobs: int) -> None:
    """Have jobs done, and take their results away, as callers do: else those stay for their time."""
    stack = service.stack
    upload = service.small.read_bytes()
    for begin in range(0, jobs, BURST):
        tasks = stack.submit([upload] * min(BURST, jobs - begin), heatmaps=LABELS)
        stack.wait(tasks)
        for task in tasks:
            stack.client.delete(f"/tasks/{task}").raise_for_status()


def held(service: Service) -> dict[str, float]:
    """Return megabytes of each process that answers requests, the median of some readings: buffers come and go."""
    return _median({part: [process] for part, process in service.processes().items()})


def held_by_workers(service: Service) -> dict[str, float]:
    """Return megabytes of each worker and its work-horse, which forked from it."""
    return _median(
        {
            f"worker {number} and its work-horse": [
                psutil.Process(worker.running.pid),
                *worker.horses(),
            ]
            for number, worker in enumerate(service.stack.workers, 1)
        }
    )


def proportional_megabytes(processes: Iterable[psutil.Process]) -> float:
    """Return what processes hold, the pages that several share counted in proportion."""
    return float(sum(process.memory_full_info().pss for process in processes)) / 1e6


def _median(parts: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for _ in range(READINGS):
        time.sleep(0.3)
        for part, processes in parts.items():
            found.setdefault(part, []).append(proportional_megabytes(processes))
    return {part: statistics.median(values) for part, values in found.items()}
