"""Show queue and workers to Prometheus: a collector that looks when it is asked."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import redis
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from orchestrator.errors import RedisUnavailableError
from orchestrator.jobs.overview import Overview, look

_GAUGES: Final = {
    "workers": ("cxr_workers", "Workers that live."),
    "busy": ("cxr_workers_busy", "Workers that have a task."),
    "waiting": ("cxr_tasks_waiting", "Tasks in the queue."),
    "running": ("cxr_tasks_running", "Tasks that a worker has."),
    "retrying": ("cxr_tasks_retrying", "Tasks that wait for their next try."),
    "failed": ("cxr_tasks_failed", "Failed tasks that are still kept."),
    "oldest_waiting_seconds": (
        "cxr_tasks_oldest_waiting_seconds",
        "How long the first task of the queue has been waiting.",
    ),
    "held_bytes": ("cxr_tasks_held_bytes", "Bytes of uploads and results."),
}


class QueueCollector(Collector):
    """Give the figures of the moment; without Redis only that it is away."""

    def __init__(self, client: "redis.Redis", registry: CollectorRegistry) -> None:
        self._client = client
        registry.register(self)

    def describe(self) -> list[GaugeMetricFamily]:
        """Name the figures without asking Redis."""
        return [GaugeMetricFamily(name, text) for name, text in [*_GAUGES.values(), _UP]]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Look, and give what is seen."""
        try:
            seen = look(self._client)
        except RedisUnavailableError:
            yield GaugeMetricFamily(*_UP, value=0)
            return
        yield GaugeMetricFamily(*_UP, value=1)
        yield from _families(seen)


_UP: Final = ("cxr_redis_up", "Whether Redis answers.")


def _families(seen: Overview) -> Iterator[GaugeMetricFamily]:
    for field, value in asdict(seen).items():
        name, text = _GAUGES[field]
        yield GaugeMetricFamily(name, text, value=value)
