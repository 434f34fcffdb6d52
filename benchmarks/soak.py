"""Kill at random for a while, under load, and see that nothing is lost: ``make soak``.

The same faults as in ``tests/faults``; SECONDS sets how long (600), SEED the order.
"""

import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from export.servable import export_model
from tests.support.images import nih_files
from tests.support.tiny_models import PLANTED_LABELS, planted_model
from tests.support.workers import DONE, Stack, running_stack

BURST = 60
RECOVERY_BOUND = 120.0


def main() -> int:
    """Return 0 if every accepted job ended in its result and was counted once."""
    logging.disable(logging.WARNING)
    seconds = float(os.environ.get("SECONDS", "600"))
    seed = int(os.environ.get("SEED", str(int(time.time()))))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_model(
            planted_model(), folder / "densenet", labels=PLANTED_LABELS, preprocess="rescale"
        )
        settings = {"LOG_LEVEL": "error", "QUEUE_LIMIT": "10000", "RESULT_TTL": "3600"}
        with running_stack(folder / "stack", folder / "densenet", workers=2, **settings) as stack:
            return _soak(stack, seconds, random.Random(seed), seed)


def _soak(stack: Stack, seconds: float, order: random.Random, seed: int) -> int:
    faults: dict[str, Callable[[Stack], None]] = {
        "a work-horse killed": _kill_horse,
        "a worker killed with its horse": _kill_worker,
        "every worker killed": _kill_workers,
        "the model server killed": _kill_model,
        "Redis killed": _kill_redis,
        "a worker asked to stop": _stop_worker,
        "the API killed": _kill_api,
    }
    radiographs = [path.read_bytes() for path in nih_files()]
    submitted = 0
    statuses: list[str] = []
    slowest = 0.0
    until = time.monotonic() + seconds
    print(f"soaking for {seconds:.0f} s, SEED={seed}")
    while time.monotonic() < until:
        uploads = [order.choice(radiographs) for _ in range(BURST)]
        tasks = stack.submit(uploads, heatmaps="all", format="png", max_size="original")
        submitted += len(tasks)
        name = order.choice(list(faults))
        time.sleep(order.uniform(0, 3))
        struck = time.time()
        faults[name](stack)
        done = stack.wait(tasks, seconds=300)
        statuses += [task["status"] for task in done.values()]
        ends = [
            datetime.fromisoformat(task["finished_at"]).timestamp()
            for task in done.values()
            if task["attempts"] > 1
        ]
        recovery = max([end - struck for end in ends], default=0.0)
        slowest = max(slowest, recovery)
        print(f"{name}: {submitted} jobs so far, recovered in {recovery:.1f} s", flush=True)
        for task_id in tasks:  # as a caller does who has what it wants; else QUEUE_BYTES is reached
            stack.client.delete(f"/tasks/{task_id}").raise_for_status()
    lost = submitted - sum(status in DONE for status in statuses)
    failed = statuses.count("FAILURE")
    known = stack.counted()
    print(
        f"{submitted} jobs: {lost} lost, {failed} failed, {known} counted;"
        f" slowest recovery {slowest:.1f} s (bound {RECOVERY_BOUND:.0f})"
    )
    return int(lost > 0 or failed > 0 or known != submitted or slowest > RECOVERY_BOUND)


def _kill_horse(stack: Stack) -> None:
    for horse in stack.workers[0].horses():
        horse.kill()


def _kill_worker(stack: Stack) -> None:
    stack.workers[1].kill()
    stack.workers[1].start()


def _kill_workers(stack: Stack) -> None:
    for worker in stack.workers:
        worker.kill()
    for worker in stack.workers:
        worker.start()


def _kill_model(stack: Stack) -> None:
    stack.model.kill()
    stack.model.start()


def _kill_redis(stack: Stack) -> None:
    stack.redis.kill()
    stack.redis.start()


def _stop_worker(stack: Stack) -> None:
    stack.workers[0].stop(60)
    stack.workers[0].start()


def _kill_api(stack: Stack) -> None:
    stack.api.kill()
    stack.api.start()


if __name__ == "__main__":
    sys.exit(main())
