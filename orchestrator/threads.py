"""Bound the threads that requests are answered in, and the lines before them, and show both to Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from orchestrator.errors import BusyError

_Result = TypeVar("_Result")


class BoundedThreads:
    """Run blocking work in a fixed number of threads, with a bounded line in front of them.

    Args:
        threads: How many there are.
        queue: How long the line may be.
        work: What they do, in the plural, for whom the line is too long.
    """

    def __init__(self, threads: int, queue: int, work: str) -> None:
        self.threads = threads
        self._limiter = anyio.CapacityLimiter(threads)
        self._queue = queue
        self._work = work

    @property
    def busy(self) -> int:
        """Return how many threads are at work."""
        return self._limiter.statistics().borrowed_tokens

    @property
    def waiting(self) -> int:
        """Return how long the line is."""
        return self._limiter.statistics().tasks_waiting

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what ``work`` returns, once a thread was free for it.

        Raises:
            BusyError: The line is full.
        """
        if self.waiting >= self._queue:
            raise BusyError(
                f"as many {self._work} are under way as this server takes at once; try again shortly",
                retry_after=1,
            )
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


class ThreadCollector(Collector):
    """Show the pools of threads to Prometheus.

    Args:
        pools: Each by its name.
        registry: What an answer to Prometheus is made of.
    """

    def __init__(self, pools: Mapping[str, BoundedThreads], registry: CollectorRegistry) -> None:
        self._pools = pools
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the figures of the moment."""
        busy = GaugeMetricFamily("cxr_threads_busy", "Threads at work.", labels=["pool"])
        waiting = GaugeMetricFamily(
            "cxr_threads_waiting", "Requests that wait for a thread.", labels=["pool"]
        )
        limit = GaugeMetricFamily("cxr_threads_limit", "Threads there are.", labels=["pool"])
        for name, pool in self._pools.items():
            busy.add_metric([name], pool.busy)
            waiting.add_metric([name], pool.waiting)
            limit.add_metric([name], pool.threads)
        yield from (busy, waiting, limit)
