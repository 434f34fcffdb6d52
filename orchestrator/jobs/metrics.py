"""Show queue, workers and Redis to Prometheus: a collector that looks when it is asked.

What it gives is of the one Redis, whichever API process is asked: figures of several must not be added up.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

import redis
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from orchestrator.errors import (
    DependencyError,
    RedisUnavailableError,
    ServiceError,
    UploadExpiredError,
)
from orchestrator.jobs import keys
from orchestrator.jobs.overview import Overview, look
from orchestrator.redis_client import text, translated

_UP: Final = ("cxr_redis_up", "Whether Redis answers, and is no replica.")
_GAUGES: Final = {
    "workers": ("cxr_workers", "Workers that live."),
    "busy": ("cxr_workers_busy", "Workers that have a task."),
    "waiting": ("cxr_tasks_waiting", "Tasks in the queue."),
    "running": ("cxr_tasks_running", "Tasks that a worker has."),
    "retrying": ("cxr_tasks_retrying", "Tasks that wait for their next try."),
    "failed": ("cxr_tasks_failed", "Failed tasks that are still kept."),
    "oldest_waiting_seconds": (
        "cxr_tasks_oldest_waiting_seconds",
        "Time since the first task of the queue, or the oldest that is to be tried again, was accepted.",
    ),
    "held_bytes": ("cxr_tasks_held_bytes", "Bytes of uploads and results."),
}
_LIMITS: Final = {
    "tasks": (
        "cxr_tasks_waiting_limit",
        "Tasks that may wait, in the queue or for their next try.",
    ),
    "bytes": ("cxr_tasks_held_limit_bytes", "Bytes of uploads and results that may be kept."),
}
_REDIS: Final = {
    "used_memory": ("cxr_redis_memory_used_bytes", "Memory that Redis has taken for its data."),
    "maxmemory": (
        "cxr_redis_memory_limit_bytes",
        "Memory that Redis may take for its data; 0 if it has no limit.",
    ),
    "file_bytes": ("cxr_redis_file_bytes", "Bytes of Redis' append-only file; 0 if it has none."),
    "file_writes_ok": (
        "cxr_redis_file_writes_ok",
        "Whether Redis could last write to its append-only file, and make it anew.",
    ),
}
# With `appendfsync always` a write that fails ends Redis; before, it is the file beside the old one that finds no room.
_WRITES: Final = ("aof_last_write_status", "aof_last_bgrewrite_status")
# What the scripts count, by the part before the colon; the part behind it is a code.
_OUTCOMES: Final = {
    "accepted": ("cxr_tasks_accepted", "Tasks that were accepted.", []),
    "succeeded": ("cxr_tasks_succeeded", "Tasks that ended in a result.", []),
    "failed": ("cxr_tasks_ended_in_error", "Tasks that ended in an error, by its code.", ["code"]),
    "retried": ("cxr_tasks_retried", "Tries that are to be repeated, by their error.", ["code"]),
    "rescued": ("cxr_tasks_rescued", "Tasks put back as their worker was gone.", []),
}
# An upload is kept as long as its task waits or is tried: where it is missing, the service has lost it.
_OWN_CODES: Final = [
    ServiceError.code,
    UploadExpiredError.code,
    *sorted(error.code for error in DependencyError.__subclasses__()),
]


@dataclass(frozen=True)
class QueueLimits:
    """How much the queue may hold: tasks, and bytes of uploads and results."""

    tasks: int
    bytes: int


class QueueCollector(Collector):
    """Give the figures of the moment; without Redis only that it is away."""

    def __init__(
        self, client: redis.Redis, limits: QueueLimits, registry: CollectorRegistry
    ) -> None:
        self._client = client
        self._limits = limits
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Name the figures without asking Redis."""
        gauges = [*_GAUGES.values(), *_LIMITS.values(), *_REDIS.values(), _UP]
        return [*(GaugeMetricFamily(*each) for each in gauges), *_counters({})]

    def collect(self) -> Iterator[Metric]:
        """Look, and give what is seen."""
        try:
            seen = look(self._client)
            outcomes, state = _totals(self._client)
        except RedisUnavailableError:
            yield GaugeMetricFamily(*_UP, value=0)
            return
        yield GaugeMetricFamily(*_UP, value=1)
        yield from _overview(seen)
        for field, value in asdict(self._limits).items():
            yield GaugeMetricFamily(*_LIMITS[field], value=value)
        for field, (name, help_text) in _REDIS.items():
            yield GaugeMetricFamily(name, help_text, value=state[field])
        yield from _counters(outcomes)


def _totals(client: redis.Redis) -> tuple[dict[str, int], dict[str, int]]:
    """Return what became of tasks, and Redis' memory and file."""
    with translated(), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.OUTCOMES)
        pipe.info("memory")
        pipe.info("persistence")
        outcomes, memory, persistence = pipe.execute()
    file = {
        "file_bytes": persistence.get("aof_current_size", 0),
        "file_writes_ok": int(all(persistence.get(each, "ok") == "ok" for each in _WRITES)),
    }
    return {text(name): int(count) for name, count in outcomes.items()}, {**memory, **file}


def _overview(seen: Overview) -> Iterator[Metric]:
    for field, value in asdict(seen).items():
        name, help_text = _GAUGES[field]
        yield GaugeMetricFamily(name, help_text, value=value)


def _counters(outcomes: dict[str, int]) -> Iterator[Metric]:
    """Give every counter; the service's own errors from zero on, so that the first is seen as an increase."""
    for kind, (name, help_text, labels) in _OUTCOMES.items():
        family = CounterMetricFamily(name, help_text, labels=labels)
        if labels:
            own = dict.fromkeys((f"{kind}:{code}" for code in _OWN_CODES), 0)
            for what, count in (own | outcomes).items():
                before, _, code = what.partition(":")
                if before == kind:
                    family.add_metric([code], count)
        else:
            family.add_metric([], outcomes.get(kind, 0))
        yield family
