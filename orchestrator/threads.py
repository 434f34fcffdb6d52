"""Bound the threads that requests are answered in, and the lines before them, and show both to Prometheus."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Gauge

from orchestrator.errors import BusyError

_Result = TypeVar("_Result")

_GAUGES: Final = {
    "busy": ("cxr_threads_busy", "Threads at work."),
    "waiting": ("cxr_threads_waiting", "Requests that wait for a thread."),
    "threads": ("cxr_threads_limit", "Threads there are."),
}


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
        if self.busy >= self.threads and self.waiting >= self._queue:
            raise BusyError(
                f"as many {self._work} are under way as this server takes at once; try again shortly",
                retry_after=1,
            )
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def show_threads(pools: Mapping[str, BoundedThreads], registry: CollectorRegistry) -> None:
    """Show pools of threads to Prometheus, each by its name: the figures of the moment at which it asks."""
    for figure, (name, text) in _GAUGES.items():
        gauge = Gauge(name, text, ["pool"], registry=registry)
        for pool, threads in pools.items():
            gauge.labels(pool).set_function(partial(getattr, threads, figure))
