"""Hold the clients that live as long as the process, and the limits on using them."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import redis
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from orchestrator.audit.trail import AuditReader
from orchestrator.jobs.desk import Desk
from orchestrator.model.client import ModelClient
from orchestrator.pipeline import Stage, analyse
from orchestrator.settings import Settings
from orchestrator.stats.notes import Notes
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.base import Store
from orchestrator.study import Analysis, Options
from orchestrator.telemetry.telemetry import Telemetry
from orchestrator.threads import BoundedThreads


@dataclass(frozen=True)
class Services:
    """What a handler may use.

    Health checks have threads of their own, so that load can't starve them; so have looks at Redis, so that one
    that hangs keeps no answer from those who don't need it; and deletions, which may wait for a store that is away.
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
    analysis_threads: BoundedThreads
    health_threads: BoundedThreads
    watch: redis.Redis
    watch_threads: BoundedThreads
    task_threads: BoundedThreads
    deletion_threads: BoundedThreads
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
