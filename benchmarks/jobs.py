"""Measure jobs: how many are finished per second beside what the bare model does, and what a worker holds."""

import signal
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psutil

from benchmarks.bounds import Figure
from benchmarks.service import THREE, bare_rate, running_service
from tests.support.images import nih_files
from tests.support.workers import Stack

ROUNDS = 3
JOBS = 120
WORKERS = 4  # the model answers more images a second the more of them it gets at once
SUBMISSIONS = 500
# An untrained network finds something in most labels, so they are named: one as of a radiograph with one finding.
LABELS = {"1": "Mass", "3": THREE}
LEAST = {"1": 0.5, "3": 0.55}
MEMORY_BOUND = 150.0
ANSWER_BOUND = 1.0


def measure() -> list[Figure]:
    """Run the whole service on an untrained DenseNet121, in turns with the bare model."""
    with running_service(workers=WORKERS) as service:
        return _measure(service.stack)


def _measure(stack: Stack) -> list[Figure]:
    radiographs = [path.read_bytes() for path in nih_files()]
    stack.wait(stack.submit(radiographs[:8]))  # horses are forked, channels opened
    figures: list[Figure] = []
    for count, labels in LABELS.items():
        rounds = [_round(stack, radiographs, labels) for _ in range(ROUNDS)]
        rates = [round_["jobs"] / round_["bare"] for round_ in rounds]
        jobs = f"jobs with {count} overlay{'s' * (count != '1')}"
        figures += [
            Figure(
                f"finished {jobs} per second / images per second of the bare model at batch 8",
                statistics.median(rates),
                least=LEAST[count],
            ),
            Figure(f"finished {jobs} per second", _median(rounds, "jobs"), "/s"),
            Figure("images per second, bare", _median(rounds, "bare"), "/s"),
        ]
        figures += [
            Figure(f"time in '{name}' of {jobs}", _median(rounds, name), "ms")
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


def _median(rounds: list[dict[str, float]], name: str) -> float:
    return statistics.median(round_[name] for round_ in rounds)


def _round(stack: Stack, radiographs: list[bytes], heatmaps: str) -> dict[str, float]:
    """Time the bare model, then how fast a full queue is worked off."""
    bare, _ = bare_rate(stack.model_target)
    uploads = [radiographs[number % len(radiographs)] for number in range(JOBS)]
    for worker in stack.workers:
        worker.running.send_signal(signal.SIGSTOP)
    tasks = stack.submit(uploads, threads=8, heatmaps=heatmaps, max_size="1024")
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
