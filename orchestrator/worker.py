"""Run one worker: ``cxr worker``."""

import logging
import signal
import threading
from typing import Final

import click
from prometheus_client import CollectorRegistry

from orchestrator import logs
from orchestrator.jobs.horse import TaskWorker
from orchestrator.jobs.rq_job import open_queue
from orchestrator.jobs.run import furnish
from orchestrator.jobs.wiring import create_caretakers, create_ledger, create_workshop
from orchestrator.model.client import chosen_thresholds
from orchestrator.redis_client import connect
from orchestrator.settings import Settings
from orchestrator.startup import read_settings, require_what_is_kept, settings_explained
from orchestrator.storage.create import create_store
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.port import open_port
from orchestrator.telemetry.recorder import SILENT
from orchestrator.telemetry.relay import Relay
from orchestrator.telemetry.telemetry import Telemetry
from orchestrator.telemetry.trace import NO_TRACER, Tracer
from orchestrator.telemetry.tracing import open_tracer
from serving.scheduling import work_in_batches

_log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0


@click.command()
def worker() -> None:
    """Work on queued tasks, one at a time, until SIGTERM; start several for more at once."""
    settings = read_settings()
    require_what_is_kept(settings)
    logs.configure(settings.log_level)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    logging.getLogger("rq.job").setLevel(logging.WARNING)
    work_in_batches()
    registry = CollectorRegistry()
    relay = Relay(Metrics(registry))
    relay.start()
    with settings_explained():
        open_port(settings, registry)
    horse = _Horse(settings, relay)
    caretakers = create_caretakers(settings, create_store(settings))
    for caretaker in caretakers:
        caretaker.start()
    try:
        _work(settings, horse)
    finally:
        for caretaker in caretakers:
            caretaker.stop()


def _work(settings: Settings, horse: "_Horse") -> None:
    """Run workers one after the other: RQ's ends when Redis is away for long, this goes on until a signal."""
    stopping = threading.Event()

    def take_signals() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())

    take_signals()
    while not stopping.is_set():
        if _one(settings, horse, stopping):
            return
        take_signals()  # RQ's worker has taken them
        stopping.wait(_PAUSE_SECONDS)


def _one(settings: Settings, horse: "_Horse", stopping: threading.Event) -> bool:
    """Run one worker to its end; return whether it was asked to end."""
    current: TaskWorker | None = None
    with connect(settings.redis_url) as own, connect(settings.redis_url) as of_queue:
        try:
            current = TaskWorker(
                open_queue(of_queue),
                create_ledger(settings, own),
                settings.job_timeout,
                horse.prepare,
                horse.farewell,
                stopping.is_set,
            )
            current.make_ready()
            current.work(logging_level="WARNING")
        except Exception as err:  # noqa: BLE001 - this loop is the outermost of its process
            _log.warning("worker starts again", extra={"error": type(err).__name__})
            if current is not None:
                current.close()  # RQ does not end what it could not begin, as where Redis has no memory left
    return current is not None and current.was_asked_to_stop


class _Horse:
    """What is done in a work-horse before its first job and after its last; its connections are its own."""

    def __init__(self, settings: Settings, relay: Relay) -> None:
        self._settings = settings
        self._relay = relay
        self._thresholds = chosen_thresholds(settings)
        self._tracer: Tracer = NO_TRACER

    def prepare(self) -> None:
        """Furnish it; what it measures its worker keeps."""
        self._tracer = open_tracer(self._settings, "cxr-worker")
        recorder = SILENT if self._settings.metrics_port is None else self._relay
        telemetry = Telemetry(recorder, self._tracer)
        client = connect(self._settings.redis_url)
        furnish(create_workshop(self._settings, client, self._thresholds, telemetry))

    def farewell(self) -> None:
        """Send the spans that were not sent yet."""
        self._tracer.close()
