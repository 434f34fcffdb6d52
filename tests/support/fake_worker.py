"""Work on tasks until the queue is empty, with a model that needs no server."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rq import get_current_job
from rq.executions import Execution
from rq.job import Job
from rq.utils import now
from rq.worker import worker_classes

from orchestrator.errors import ModelContractError, ModelUnavailableError, StoreRejectedError
from orchestrator.jobs import horse, keys
from orchestrator.jobs.horse import TaskWorker
from orchestrator.jobs.rq_job import open_queue
from orchestrator.jobs.run import furnish
from orchestrator.jobs.wiring import create_ledger, create_workshop
from orchestrator.model.client import RawPrediction, Servable
from orchestrator.redis_client import connect
from orchestrator.settings import Settings
from orchestrator.telemetry.telemetry import NO_TELEMETRY, Telemetry
from tests.support.cards import card

CARD = card(
    labels=("Mass", "Edema", "No Finding"), input_height=32, input_width=32, weights="untrained"
)


_hours = itertools.count(1)


class FakeModel:
    """Say the same of every image; be slow, away, wrong or the work-horse's death, or warn, if the environment says so.

    It may say, too, that Redis is filled for a while, or that the task ends by another worker's doing.
    """

    def predict(
        self, preprocess: Callable[[Any], NDArray[np.uint8]], /
    ) -> tuple[Servable, RawPrediction]:
        if "FAKE_FULL_SECONDS" in os.environ:
            fill_redis(float(os.environ["FAKE_FULL_SECONDS"]))
        if "FAKE_END" in os.environ:
            end_task(os.environ["FAKE_END"])
        if os.environ.get("FAKE_MODEL") == "slow":
            time.sleep(float(os.environ.get("FAKE_SECONDS", "2")))
        if os.environ.get("FAKE_MODEL") == "deadly":
            signal.raise_signal(signal.SIGKILL)
        if os.environ.get("FAKE_MODEL") == "away":
            raise ModelUnavailableError("the fake model is away")
        if os.environ.get("FAKE_MODEL") == "wrong":
            raise ModelContractError("the fake model answers nonsense")
        preprocess(CARD)
        probabilities = np.array([0.73, 0.27, 0.5], np.float32)
        maps = np.ones((3, 2, 2), np.float32)
        warnings = tuple(filter(None, os.environ.get("FAKE_WARNINGS", "").split("|")))
        card = replace(CARD, warnings=warnings)
        return Servable(1, card, card.thresholds), RawPrediction(1, probabilities, maps)


def fill_redis(seconds: float) -> None:
    """Leave Redis no memory, so that it takes no writes, for some seconds from now on."""
    client = connect(os.environ["REDIS_URL"])
    client.config_set("maxmemory", 1)
    threading.Timer(seconds, client.config_set, ("maxmemory", 0)).start()


def end_task(status: str) -> None:
    """End the task that is worked on, as the worker does that had it before."""
    settings = Settings.from_environment()
    ledger = create_ledger(settings, connect(settings.redis_url))
    job = get_current_job()
    assert job is not None
    assert (
        ledger.succeed(job.id, 1)
        if status == "SUCCESS"
        else ledger.fail(job.id, StoreRejectedError("no account"))
    )


class FatalTelemetry(Telemetry):
    """Be the work-horse's death once a task has succeeded, before RQ is told."""

    def task_succeeded(self, seconds: float) -> None:  # noqa: ARG002 - that of Telemetry
        signal.raise_signal(signal.SIGKILL)


class HastyWorker(TaskWorker):
    """Have each task forgotten, as by its caller, once it is taken and before it is begun."""

    def prepare_execution(self, job: Job) -> Execution:
        found = super().prepare_execution(job)
        self._ledger.forget(job.id)
        self.connection.zadd(keys.RQ_STARTED, {found.composite_key: time.time() + 60})
        return found


class JumpyWorker(TaskWorker):
    """Look after the work-horse each half second, and have the clock set on by an hour before each look."""

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        self.job_monitoring_interval = 0.5
        ahead = timedelta(hours=next(_hours))
        for each in (worker_classes, horse):
            vars(each)["now"] = lambda: now() + ahead
        return super().wait_for_horse()


def main() -> None:
    """Work until the queue is empty."""
    settings = Settings.from_environment()

    telemetry = FatalTelemetry() if os.environ.get("FAKE_DEATH") == "late" else NO_TELEMETRY

    def prepare() -> None:
        workshop = create_workshop(settings, connect(settings.redis_url), telemetry=telemetry)
        furnish(replace(workshop, model=FakeModel()))

    has_signal = os.environ.get("FAKE_SIGNAL") == "early"
    kinds = {"hasty caller": HastyWorker, "jumpy clock": JumpyWorker}
    worker = kinds.get(os.environ.get("FAKE_WORKER", ""), TaskWorker)(
        open_queue(connect(settings.redis_url)),
        create_ledger(settings, connect(settings.redis_url)),
        settings.job_timeout,
        prepare,
        is_stopping=lambda: has_signal,
    )
    worker.work(burst=not has_signal, logging_level="WARNING")


if __name__ == "__main__":
    main()
