"""Hold the clients that live as long as the process, and the limits on using them."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import redis
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request

from orchestrator.audit.trail import AuditReader
from orchestrator.errors import BusyError
from orchestrator.jobs.desk import Desk
from orchestrator.model_client import ModelClient
from orchestrator.pipeline import Stage, analyse
from orchestrator.settings import Settings
from orchestrator.stats.notes import Notes
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.base import Store
from orchestrator.study import Analysis, Options
from orchestrator.telemetry.telemetry import Telemetry

_Result = TypeVar("_Result")


class BoundedThreads:
    """Run blocking work in a fixed number of threads, with a bounded line in front of them."""

    def __init__(self, threads: int, queue: int) -> None:
        self.threads = threads
        self._limiter = anyio.CapacityLimiter(threads)
        self._queue = queue

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
                "as many images are being analysed as this server takes at once; try again shortly",
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


@dataclass(frozen=True)
class Services:
    """What a handler may use.

    Health checks have threads of their own, so that load can't starve them; and so have looks at Redis, so that one
    that hangs keeps no answer from those who don't need it.
    """

    settings: Settings
    model: ModelClient
    store: Store
    desk: Desk
    registry: CollectorRegistry
    telemetry: Telemetry
    statistics: Statistics
    notes: Notes
    audit: AuditReader | None
    threads: BoundedThreads
    health_threads: BoundedThreads
    watch: redis.Redis
    watch_threads: BoundedThreads
    desk_threads: BoundedThreads
    batch_threads: BoundedThreads
    streams: anyio.CapacityLimiter
    drawers: Executor

    def analyse(
        self, upload: bytes, options: Options, progress: Callable[[Stage], None]
    ) -> Analysis:
        """Analyse an upload within the limits that are set; see `pipeline.analyse`."""
        return analyse(
            upload,
            options,
            self.model,
            max_pixels=self.settings.max_pixels,
            max_result_bytes=self.settings.max_result_bytes,
            progress=progress,
            drawers=self.drawers,
        )


def services(request: Request) -> Services:
    """Return the services of the application that a request came to."""
    found: Services = request.state.services
    return found


def public_url(request: Request) -> str:
    """Return the address of this service, as the operator set it or as the caller used it."""
    return services(request).settings.public_url or str(request.base_url)


def public_path(request: Request, name: str, **parts: str) -> str:
    """Return the path at which callers find the route of a name: below that of the address that the operator set."""
    path: str = request.app.url_path_for(name, **parts)
    return urlsplit(services(request).settings.public_url or "").path.rstrip("/") + path
