"""Measure what a job costs each part: processor time is counted, so a busy machine matters little."""

import io
import signal
import statistics
import zipfile
from collections.abc import Sequence

import psutil

from benchmarks.capacity.costs import Costs
from benchmarks.jobs import worker_megabytes
from benchmarks.machine import processor
from benchmarks.service import bare_rate, running_service
from tests.support.images import nih_files
from tests.support.workers import Stack

JOBS = 120
WORKERS = 4
LABELS = ("Mass", "Edema", "Effusion", "Nodule", "Hernia")


def measure() -> Costs:
    """Run the service on an untrained DenseNet121: without overlays, with one and with five."""
    uploads = [path.read_bytes() for path in nih_files()]
    with running_service(workers=WORKERS) as service:
        stack = service.stack
        stack.wait(stack.submit(uploads * WORKERS, heatmaps=",".join(LABELS)))
        none, small = _round(stack, uploads, "none")
        one, _ = _round(stack, uploads, LABELS[0])
        five, large = _round(stack, uploads, ",".join(LABELS))
        before = _seconds([psutil.Process(stack.model.running.pid)])
        rate, seconds = bare_rate(stack.model_target)
        model = _seconds([psutil.Process(stack.model.running.pid)]) - before
        return Costs(
            processor=processor(),
            model=1000 * model / (rate * seconds),
            worker=none["workers"],
            first=one["workers"] - none["workers"],
            overlay=(five["workers"] - one["workers"]) / (len(LABELS) - 1),
            api=one["api"],
            redis=one["redis"],
            upload_bytes=statistics.mean(map(len, uploads)),
            report_bytes=small,
            overlay_bytes=(large - small) / len(LABELS),
            worker_memory=1e6 * worker_megabytes(stack),
        )


def _round(stack: Stack, uploads: Sequence[bytes], heatmaps: str) -> tuple[dict[str, float], float]:
    """Return each part's milliseconds of a core per job, from submission to result, and a result's mean size."""
    before = {part: _seconds(processes) for part, processes in _parts(stack).items()}
    for worker in stack.workers:
        worker.running.send_signal(signal.SIGSTOP)
    tasks = stack.submit(
        [uploads[number % len(uploads)] for number in range(JOBS)],
        heatmaps=heatmaps,
        max_size="1024",
    )
    for worker in stack.workers:
        worker.running.send_signal(signal.SIGCONT)
    stack.wait(tasks, pause=1.0)
    results = [stack.client.get(f"/tasks/{task}/result").content for task in tasks]
    for result in results:
        with zipfile.ZipFile(io.BytesIO(result)) as archive:
            assert "report.json" in archive.namelist()
    parts = _parts(stack)
    return (
        {part: 1000 * (_seconds(parts[part]) - before[part]) / JOBS for part in before},
        statistics.mean(map(len, results)),
    )


def _parts(stack: Stack) -> dict[str, list[psutil.Process]]:
    assert stack.redis.process is not None
    return {
        "api": [psutil.Process(stack.api.running.pid)],
        "redis": [psutil.Process(stack.redis.process.pid)],
        "workers": [
            process
            for worker in stack.workers
            for process in (psutil.Process(worker.running.pid), *worker.horses())
        ],
    }


def _seconds(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))
