"""Let jobs arrive at random, and see how long they take with what a plan gives them."""

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.capacity.costs import Accelerator, Costs
from benchmarks.capacity.plan import (
    BATCH,
    MODEL_CORES,
    UTILISATION,
    Plan,
    model_milliseconds,
    plan,
    worker_milliseconds,
)

LONGEST: Final = 1000.0  # milliseconds within which 99 of 100 jobs should end


@dataclass(frozen=True)
class Outcome:
    """How long jobs took, from their arrival to their end, in milliseconds, and how busy the parts were."""

    mean: float
    median: float
    p99: float
    workers_busy: float
    models_busy: float


@dataclass
class _Job:
    arrived: float
    began: float = 0.0


def size(
    costs: Costs, rate: float, accelerator: Accelerator | None = None, overlays: int = 1
) -> tuple[Plan, Outcome]:
    """Add workers to a plan, a tenth at a time, until jobs keep to a second and workers to their share."""
    found = plan(costs, rate, accelerator, overlays)
    while True:
        outcome = simulate(
            found,
            worker_milliseconds(costs, overlays),
            model_milliseconds(costs, accelerator),
            model_lanes=1 if accelerator else MODEL_CORES,
        )
        if outcome.p99 <= LONGEST and outcome.workers_busy <= UTILISATION:
            return found, outcome
        found = replace(found, workers=math.ceil(1.1 * found.workers))


def simulate(
    plan: Plan,
    worker: float,
    image: float,
    *,
    model_lanes: int = 1,
    jobs: int = 20_000,
) -> Outcome:
    """Simulate a steady stream of independent arrivals.

    A job takes a worker, which works for a half of its time, calls the model server, waits, and works for
    the other half. Whichever lane of a model server is free takes up to eight waiting calls at once.

    Args:
        plan: Rate, workers and model servers.
        worker: Milliseconds of work that a worker has with a job.
        image: Milliseconds that an image takes in a batch of up to eight.
        model_lanes: Batches that a model server works on at once.
        jobs: How many arrive.
    """
    order = random.Random(0)
    counter = 0
    events: list[tuple[float, int, str, list[_Job]]] = []

    def at(moment: float, kind: str, whom: list[_Job]) -> None:
        nonlocal counter
        counter += 1
        heapq.heappush(events, (moment, counter, kind, whom))

    now = 0.0
    for _ in range(jobs):
        now += order.expovariate(plan.rate / 1000)
        at(now, "arrives", [_Job(now)])
    waiting: deque[_Job] = deque()
    calls: deque[_Job] = deque()
    free_workers, free_lanes = plan.workers, plan.model_servers * model_lanes
    held = computed = 0.0
    took: list[float] = []
    while events:
        now, _, kind, whom = heapq.heappop(events)
        if kind == "arrives":
            waiting += whom
        elif kind == "calls":
            calls += whom
        elif kind == "answers":
            free_lanes += 1
            for job in whom:
                at(now + worker / 2, "ends", [job])
        else:
            (job,) = whom
            free_workers += 1
            held += now - job.began
            took.append(now - job.arrived)
        while waiting and free_workers:
            job = waiting.popleft()
            job.began = now
            free_workers -= 1
            at(now + worker / 2, "calls", [job])
        while calls and free_lanes:
            together = [calls.popleft() for _ in range(min(BATCH, len(calls)))]
            free_lanes -= 1
            lasts = image * len(together)
            computed += lasts
            at(now + lasts, "answers", together)
    took.sort()
    lanes = plan.model_servers * model_lanes
    return Outcome(
        mean=sum(took) / len(took),
        median=took[len(took) // 2],
        p99=took[int(0.99 * len(took))],
        workers_busy=held / (now * plan.workers),
        models_busy=computed / (now * lanes) if lanes else 0.0,
    )
