"""Build the parts of this package as the settings say."""

import logging
from dataclasses import replace
from functools import partial
from typing import Final

import redis

from orchestrator.blobs.create import create_blobs, lie_on_disk
from orchestrator.jobs import keys
from orchestrator.jobs.announcer import Announcer
from orchestrator.jobs.batch import Batches
from orchestrator.jobs.callbacks import Callbacks
from orchestrator.jobs.care import Caretaker
from orchestrator.jobs.compaction import compact
from orchestrator.jobs.desk import Desk
from orchestrator.jobs.ledger import Ledger, Lifetimes
from orchestrator.jobs.results import Results
from orchestrator.jobs.run import Workshop
from orchestrator.jobs.submit import Limits, Submitter
from orchestrator.model.client import open_model
from orchestrator.periodic import PeriodicThread
from orchestrator.redis_client import connect
from orchestrator.settings import Settings
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.base import Store
from orchestrator.storage.create import create_store
from orchestrator.telemetry.telemetry import NO_TELEMETRY, Telemetry
from orchestrator.thresholds import ThresholdSet

_log = logging.getLogger(__name__)

_SWEEP_BLOBS_SECONDS: Final = 60.0
# Each process sweeps its store: its folder may be its own.
_SWEEP_STORE_SECONDS: Final = 600.0
# Time and again: a process from before the retention was raised sets the present day's end as it was.
_KEEP_STATISTICS_SECONDS: Final = 3600.0
# How much more results may take than uploads: a queue that was accepted up to its limit must come to an end.
_OVERSHOOT: Final = 1.5


def lifetimes(settings: Settings) -> Lifetimes:
    """Return how long things are kept."""
    return Lifetimes(settings.queue_ttl, settings.result_ttl, settings.result_memory)


def create_ledger(settings: Settings, client: redis.Redis) -> Ledger:
    """Return the ledger of tasks."""
    return Ledger(client, lifetimes(settings))


def create_submitter(settings: Settings, client: redis.Redis) -> Submitter:
    """Return what accepts tasks."""
    limits = Limits(
        tasks=settings.queue_limit,
        bytes=settings.queue_bytes,
        timeout=settings.job_timeout,
        retries=settings.job_retries,
        audit=settings.audit_retention_days * 86_400,
    )
    return Submitter(client, create_blobs(settings, client), lifetimes(settings), limits)


def create_results(settings: Settings, client: redis.Redis) -> Results:
    """Return where results are kept."""
    return Results(create_blobs(settings, client), settings.result_ttl)


def create_desk(settings: Settings, client: redis.Redis, store: Store) -> Desk:
    """Return what the API does with tasks."""
    ledger, results = create_ledger(settings, client), create_results(settings, client)
    return Desk(
        ledger=ledger,
        submitter=create_submitter(settings, client),
        results=results,
        batches=Batches(client, ledger, results),
        store=store,
    )


def create_workshop(
    settings: Settings,
    client: redis.Redis,
    thresholds: ThresholdSet | None = None,
    telemetry: Telemetry = NO_TELEMETRY,
) -> Workshop:
    """Return what jobs need; its channel to the model server is opened by the first job.

    Args:
        settings: The settings.
        client: A client of Redis, of this process alone.
        thresholds: What `chosen_thresholds` has read: once, so that every work-horse of a worker has the same.
        telemetry: Is told of every job.
    """
    ledger = create_ledger(settings, client)
    return Workshop(
        ledger=ledger,
        announcer=Announcer(ledger.stage),
        blobs=create_blobs(settings, client),
        results=create_results(settings, client),
        statistics=Statistics(client, settings.stats_retention_days),
        model=open_model(_within_job(settings), thresholds, telemetry),
        store=create_store(settings),
        max_pixels=settings.max_pixels,
        max_result_bytes=settings.max_result_bytes,
        most_held=int(_OVERSHOOT * settings.queue_bytes),
        job_timeout=settings.job_timeout,
        telemetry=telemetry,
    )


def _within_job(settings: Settings) -> Settings:
    """Leave a call to the model less time than its job has: a server that hangs is no fault of the image's."""
    return replace(settings, model_timeout=min(settings.model_timeout, settings.job_timeout / 2))


def create_caretakers(settings: Settings, store: Store) -> list[PeriodicThread]:
    """Return what looks after tasks, pictures and statistics in each process, with clients of their own.

    Calls of callbacks and looking through a folder may take long; they have threads to themselves.
    """
    client = connect(settings.redis_url)
    rescue = partial(_rescue, create_ledger(settings, client))
    chores = [rescue, partial(compact, client)]
    statistics = Statistics(client, settings.stats_retention_days)
    found: list[PeriodicThread] = [
        Caretaker(client, keys.TICK, chores),
        PeriodicThread("sweeper", partial(_sweep, store), _SWEEP_STORE_SECONDS),
        PeriodicThread("statistics keeper", statistics.keep, _KEEP_STATISTICS_SECONDS),
    ]
    if lie_on_disk(settings):
        own = connect(settings.redis_url)
        sweep = partial(create_blobs(settings, own).sweep, create_ledger(settings, own).held)
        found.append(Caretaker(own, keys.SWEEP_TICK, [sweep], _SWEEP_BLOBS_SECONDS))
    if settings.called_hosts and settings.callback_secret:
        own = connect(settings.redis_url)
        ledger = create_ledger(settings, own)
        calls = Callbacks(own, ledger, settings.callback_secret, settings.called_hosts)
        found.append(Caretaker(own, keys.CALLBACK_TICK, [calls.deliver_one]))
    return found


def _rescue(ledger: Ledger) -> None:
    for task_id in ledger.care():
        _log.warning("task rescued", extra={"task_id": task_id})


def _sweep(store: Store) -> None:
    count = store.sweep()
    if count:
        _log.info("files swept", extra={"files": count})
