"""Measure what stays in memory, each process after 5,000 requests beside after 500, and how long all takes to start."""

import statistics
import time

from benchmarks.bounds import Figure
from benchmarks.service import Service, running_service

FIRST, LAST = 500, 5000
CLIENTS = 8
LABELS = "Mass"
GROWTH_BOUND = 1.05
READINGS = 5


def measure() -> list[Figure]:
    """Post small radiographs with one overlay each, most of a request's paths at a tenth of its work."""
    begin = time.perf_counter()
    with running_service() as service:
        ready = time.perf_counter() - begin
        service.post(service.small, LABELS, CLIENTS, FIRST)
        before = _held(service)
        service.post(service.small, LABELS, CLIENTS, LAST - FIRST)
        after = _held(service)
    figures = [
        Figure("seconds until an untrained model is exported and the service ready", ready, "s")
    ]
    for part, held in after.items():
        growth = held / before[part]
        text = f"resident memory of {part} after 5,000 requests"
        figures.append(Figure(f"{text} / after 500", growth, bound=GROWTH_BOUND))
        figures.append(Figure(text, held, "MB"))
    return figures


def _held(service: Service) -> dict[str, float]:
    """Return megabytes, the median of some readings: buffers come and go."""
    found: dict[str, list[float]] = {}
    for _ in range(READINGS):
        time.sleep(0.3)
        for part, process in service.processes().items():
            found.setdefault(part, []).append(process.memory_info().rss / 1e6)
    return {part: statistics.median(values) for part, values in found.items()}
