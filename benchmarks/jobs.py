"""Measure jobs: how many are finished per second beside what the bare model does, and what they wait for."""

import signal
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import psutil

from benchmarks.effort import Effort, say
from benchmarks.figures import Figure, percentile, ratio
from benchmarks.service import THREE, Service, bare_rate, running_service
from tests.support.images import nih_files
from tests.support.workers import Service as Worker
from tests.support.workers import Stack

ROUNDS = 3
JOBS = 300  # so that the first and the last, which have the processors to themselves, weigh little
WORKERS = 4  # the model answers more images a second the more of them it gets at once
SUBMISSIONS = 500
CALM = 100
# An untrained network finds something in most labels, so they are named: one as of a radiograph with one finding.
LABELS = {"1": "Mass", "3": THREE}
LEAST = {"1": 0.5, "3": 0.55}
PRECISIONS = ("float32", "bfloat16")
MEMORY_BOUND = 150.0
ANSWER_BOUND = 1.0
KILLS = 3
BURST = 60
RECOVERY_BOUND = 120.0
STAGES = ("decoding", "predicting", "rendering")


def measure(effort: Effort) -> list[Figure]:
    """Run the whole service on an untrained DenseNet121, in turns with the bare model."""
    figures: list[Figure] = []
    for precision in PRECISIONS:
        with running_service(precision, workers=WORKERS) as service:
            radiographs = [path.read_bytes() for path in nih_files()]
            service.stack.wait(service.stack.submit(radiographs * WORKERS))  # horses are forked
            figures += _finished(service.stack, radiographs, precision, effort)
            if precision == "float32":
                figures += _beside(service, radiographs, effort)
    return figures


def _finished(
    stack: Stack, radiographs: Sequence[bytes], precision: str, effort: Effort
) -> list[Figure]:
    figures: list[Figure] = []
    for count, labels in LABELS.items():
        jobs = f"jobs with {count} overlay{'s' * (count != '1')}"
        rounds = [
            _round(stack, radiographs, labels, effort.of(JOBS, 8))
            for _ in effort.rounds(ROUNDS, f"{precision}, {jobs}")
        ]
        by_name = {name: [round_[name] for round_ in rounds] for name in rounds[0]}
        figures += [
            ratio(
                f"{precision}: finished {jobs} per second / images per second, bare at batch 8",
                by_name["jobs"],
                by_name["bare"],
                least=LEAST[count] if precision == "float32" else None,
            ),
            Figure.of(f"{precision}: finished {jobs} per second", by_name["jobs"], "/s"),
            Figure.of(
                f"{precision}: images per second, bare, beside {jobs}", by_name["bare"], "/s"
            ),
        ]
        figures += [
            Figure.of(f"{precision}: time in '{name}' of {jobs}", by_name[name], "ms")
            for name in (*STAGES, "storing")
        ]
    return figures


def _beside(service: Service, radiographs: Sequence[bytes], effort: Effort) -> list[Figure]:
    """Return what is measured once, on one precision."""
    stack = service.stack
    return [
        Figure(
            "memory of a worker and its work-horse, what four workers share in part",
            worker_megabytes(stack),
            "MB",
            bound=MEMORY_BOUND,
        ),
        *_enqueued(stack, radiographs, effort),
        *_answers(stack, radiographs, effort),
        _recovery(service, radiographs, effort),
    ]


def _round(
    stack: Stack, radiographs: Sequence[bytes], heatmaps: str, jobs: int
) -> dict[str, float]:
    """Time the bare model, then how fast a full queue is worked off."""
    bare, _ = bare_rate(stack.model_target)
    uploads = [radiographs[number % len(radiographs)] for number in range(jobs)]
    _signal(stack.workers, signal.SIGSTOP)
    tasks = stack.submit(uploads, threads=8, heatmaps=heatmaps, max_size="1024")
    begin = time.time()
    _signal(stack.workers, signal.SIGCONT)
    # Asking for each meanwhile would cost as much as two overlays of it
    stack.wait(tasks[-WORKERS:], pause=0.5)
    done = stack.wait(tasks)
    seconds = max(_moment(task["finished_at"]) for task in done.values()) - begin
    timings = [report["timings_ms"] for report in stack.reports(tasks)]
    found = {"bare": bare, "jobs": jobs / seconds}
    for name in STAGES:
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


def _enqueued(stack: Stack, radiographs: Sequence[bytes], effort: Effort) -> list[Figure]:
    """Submit one by one while no worker works, and see how long each waits for its answer."""
    say("submitting one by one")
    tasks: list[str] = []
    milliseconds: list[float] = []
    _signal(stack.workers, signal.SIGSTOP)
    for number in range(effort.of(CALM, 5)):
        upload = radiographs[number % len(radiographs)]
        begin = time.perf_counter()
        tasks.append(stack.submit_one(upload, heatmaps="none"))
        milliseconds.append(1000 * (time.perf_counter() - begin))
    _signal(stack.workers, signal.SIGCONT)
    stack.wait(tasks)
    return [
        Figure(f"p{100 * share:.0f} of enqueuing, one at a time", value, "ms")
        for share in (0.5, 0.99)
        for value in (percentile(milliseconds, share),)
    ]


def _answers(stack: Stack, radiographs: Sequence[bytes], effort: Effort) -> list[Figure]:
    """Submit hundreds at once, and see how long each waits for its answer."""
    count = effort.of(SUBMISSIONS, 32)
    say(f"submitting {count}, 32 at a time")
    seconds: list[float] = []

    def submit(number: int) -> str:
        begin = time.perf_counter()
        task = stack.submit_one(radiographs[number % len(radiographs)], heatmaps="none")
        seconds.append(time.perf_counter() - begin)
        return task

    with ThreadPoolExecutor(32) as pool:
        tasks = list(pool.map(submit, range(count)))
    done = stack.wait(tasks, seconds=600)
    lost = sum(task["status"] != "SUCCESS" for task in done.values())
    return [
        Figure(
            f"99th percentile of the answers to {count} submissions, 32 at a time",
            percentile(seconds, 0.99),
            "s",
            bound=ANSWER_BOUND,
        ),
        Figure(f"of {count} jobs, those without a result", lost, bound=0),
    ]


def _recovery(service: Service, radiographs: Sequence[bytes], effort: Effort) -> Figure:
    """Kill a worker with its work-horse under load; see when the task that it had is done."""
    stack = service.stack
    first, *others = stack.workers
    uploads = [radiographs[number % len(radiographs)] for number in range(effort.of(BURST, 8))]
    slow = service.jpeg.read_bytes()
    seconds: list[float] = []
    for _ in effort.rounds(KILLS, "killing a worker"):
        _signal(stack.workers, signal.SIGSTOP)
        hit = stack.submit_one(slow, heatmaps="all", format="png", max_size="original")
        tasks = [hit, *stack.submit(uploads, heatmaps=THREE)]
        _signal([first], signal.SIGCONT)
        stack.wait_for_started([hit])
        struck = time.time()
        first.kill()
        _signal(others, signal.SIGCONT)
        done = stack.wait(tasks, seconds=300)
        seconds.append(_moment(done[hit]["finished_at"]) - struck)
        first.start()
        for task in tasks:  # as a caller does who has what it wants
            stack.client.delete(f"/tasks/{task}").raise_for_status()
    name = "from kill -9 of a worker and its work-horse under load until what it had is done"
    return Figure.of(name, seconds, "s", bound=RECOVERY_BOUND)


def _signal(workers: Sequence[Worker], number: signal.Signals) -> None:
    for worker in workers:
        worker.running.send_signal(number)


def _moment(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
