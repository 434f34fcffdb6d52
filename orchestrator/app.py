"""Wire the HTTP application."""

import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypedDict

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import ConnectionPool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from orchestrator.access.browsers import site_of
from orchestrator.access.mode import choose_access, warn_if_open
from orchestrator.audit.trail import PATIENCE_SECONDS, AuditReader, AuditWriter, Retention
from orchestrator.errors import ServiceError
from orchestrator.jobs.metrics import QueueCollector, QueueLimits
from orchestrator.jobs.wiring import create_caretakers, create_desk
from orchestrator.limiter import Limiter, missed_counter
from orchestrator.memory import give_back_freed_memory
from orchestrator.middleware.auditor import AuditMiddleware
from orchestrator.middleware.body_limit import BodyLimitMiddleware
from orchestrator.middleware.body_timeout import BodyTimeoutMiddleware
from orchestrator.middleware.guard import GuardMiddleware
from orchestrator.middleware.request_id import RequestIdMiddleware
from orchestrator.middleware.request_target import RequestTargetMiddleware
from orchestrator.middleware.response_headers import ResponseHeadersMiddleware
from orchestrator.middleware.telemetry import TelemetryMiddleware
from orchestrator.middleware.throttle import ThrottleMiddleware
from orchestrator.model.client import ModelClient, chosen_thresholds, open_model
from orchestrator.openapi.document import describe
from orchestrator.periodic import PeriodicThread
from orchestrator.problems import handlers
from orchestrator.redis_client import connect, connect_async, connect_briefly
from orchestrator.routes import (
    audit,
    batch,
    docs,
    files,
    health,
    hosted,
    metrics,
    page,
    predict,
    static,
    stats,
    tasks,
)
from orchestrator.services import Services
from orchestrator.settings import Settings
from orchestrator.stats.notes import Notes
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.create import create_store
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.telemetry import Telemetry
from orchestrator.telemetry.tracing import open_tracer
from orchestrator.threads import BoundedThreads, show_threads

# Redis answers in a fraction of a millisecond; more threads than these would only wait for each other.
_TASK_THREADS: Final = 16
_TASK_QUEUE: Final = 2000
_DELETION_THREADS: Final = 4
# A batch may unpack to BATCH_BYTES: one at a time does, and the bodies of those that wait are bounded elsewhere.
_BATCH_QUEUE: Final = 100
_EXPOSED: Final = (
    *("X-Request-ID", "Location", "Retry-After", "Content-Disposition"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
)
_STREAMS: Final = 200
_TRIM_SECONDS: Final = 60.0
# Requests draw in turns, on half the processors: threads that draw at once hand Python's global lock to and fro
# for each band of pixels, and the model server runs on the same machine. With fifteen overlays for each of
# eight clients this gives 1.2 times the images per second (``make bench``, load).
_DRAWERS: Final = max(1, (os.cpu_count() or 1) // 2)
_MODEL_UP: Final = (
    "cxr_model_up",
    "Whether the model server has a version available that the API can use.",
)


class State(TypedDict):
    """What the lifespan hands to every request."""

    services: Services


def create_app(settings: Settings) -> Starlette:
    """Build the application; its clients open when it starts and close when it stops.

    Raises:
        SettingsError: The settings of access contradict each other.
    """
    keyring = choose_access(settings)
    warn_if_open(keyring)
    registry = CollectorRegistry()
    pool = connect_async(settings.redis_url, settings.connections)
    limiters = _limiters(settings, pool, registry)
    audit_pool = connect_async(settings.redis_url, settings.connections, PATIENCE_SECONDS)
    auditor = _auditor(settings, audit_pool, registry)
    https = (settings.public_url or "").startswith("https://")
    telemetry = Telemetry(Metrics(registry), open_tracer(settings, "cxr-api"))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        store = create_store(settings)
        client = connect(settings.redis_url)
        watch = connect_briefly(settings.redis_url)
        QueueCollector(watch, QueueLimits(settings.queue_limit, settings.queue_bytes), registry)
        statistics = Statistics(client, settings.stats_retention_days)
        notes = Notes(statistics, registry)
        thresholds = chosen_thresholds(settings)
        model = open_model(settings, thresholds, telemetry)
        Gauge(*_MODEL_UP, registry=registry).set_function(partial(_is_up, model))
        pools = {
            "analyses": BoundedThreads(
                settings.request_threads, settings.request_queue, "analyses"
            ),
            "health": BoundedThreads(2, 100, "looks at the model server"),
            "watch": BoundedThreads(2, 100, "looks at Redis"),
            "tasks": BoundedThreads(
                _TASK_THREADS, _TASK_QUEUE, "requests for tasks, statistics or the audit trail"
            ),
            "deletions": BoundedThreads(_DELETION_THREADS, _TASK_QUEUE, "deletions of tasks"),
            "batches": BoundedThreads(1, _BATCH_QUEUE, "batches"),
        }
        show_threads(pools, registry)
        drawers = ThreadPoolExecutor(_DRAWERS, "draw")
        busy = [pools[name] for name in ("analyses", "tasks", "batches")]
        trimmer = PeriodicThread("trimmer", partial(_give_back_memory, busy), _TRIM_SECONDS)
        caretakers = [*create_caretakers(settings, store), trimmer]
        for caretaker in caretakers:
            caretaker.start()
        notes.start()
        try:
            yield {
                "services": Services(
                    settings=settings,
                    model=model,
                    store=store,
                    desk=create_desk(settings, client, store),
                    registry=registry,
                    telemetry=telemetry,
                    statistics=statistics,
                    notes=notes,
                    audit=AuditReader(client, _audit_seconds(settings)) if auditor else None,
                    analysis_threads=pools["analyses"],
                    health_threads=pools["health"],
                    watch=watch,
                    watch_threads=pools["watch"],
                    streams=anyio.CapacityLimiter(_STREAMS),
                    drawers=drawers,
                    task_threads=pools["tasks"],
                    deletion_threads=pools["deletions"],
                    batch_threads=pools["batches"],
                )
            }
        finally:
            model.close()
            drawers.shutdown(wait=False)
            for caretaker in caretakers:
                await anyio.to_thread.run_sync(caretaker.stop)
            await anyio.to_thread.run_sync(notes.stop)
            watch.close()
            client.close()
            await pool.aclose()
            await audit_pool.aclose()
            await anyio.to_thread.run_sync(telemetry.tracer.close)

    app = Starlette(
        routes=[
            *health.ROUTES,
            *predict.ROUTES,
            *hosted.ROUTES,
            *files.ROUTES,
            *tasks.ROUTES,
            *stats.ROUTES,
            *batch.ROUTES,
            *metrics.ROUTES,
            *audit.ROUTES,
            *docs.ROUTES,
            *page.ROUTES,
            *static.ROUTES,
        ],
        middleware=[
            Middleware(RequestTargetMiddleware),
            Middleware(RequestIdMiddleware),
            Middleware(ResponseHeadersMiddleware, https=https),
            Middleware(AuditMiddleware, writer=auditor),  # of whose wait for Redis no figure tells
            Middleware(TelemetryMiddleware, telemetry=telemetry),
            *_cors(settings),
            Middleware(
                GuardMiddleware,
                keyring=keyring,
                site=site_of(settings, with_keys=keyring is not None),
                others=limiters["others"],
            ),
            Middleware(
                ThrottleMiddleware, analyses=limiters["analyses"], others=limiters["others"]
            ),
            Middleware(
                BodyLimitMiddleware,
                max_bytes=settings.max_upload_bytes,
                batch=batch.PATH,
                batch_bytes=settings.batch_bytes,
                held_bytes=settings.body_bytes,
            ),
            Middleware(BodyTimeoutMiddleware, seconds=settings.body_timeout),
        ],
        exception_handlers=handlers(https=https),
        lifespan=lifespan,
    )
    # Starlette would send a path with one slash too many elsewhere, by HTTP whatever a proxy before it speaks.
    app.router.redirect_slashes = False
    app.state.openapi = describe(app.routes, with_keys=keyring is not None)
    app.state.registry = registry
    app.state.is_stopping = lambda: False  # whoever runs the application knows better
    return app


def _cors(settings: Settings) -> list[Middleware]:
    """Return what lets scripts of other sites ask; browsers' own credentials are never let through for them."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Idempotency-Key", "X-Request-ID"],
            expose_headers=_EXPOSED,
        )
    ]


def _is_up(model: ModelClient) -> bool:
    """Tell whether the model server has a version available."""
    try:
        model.available()
    except ServiceError:
        return False
    return True


def _give_back_memory(pools: Sequence[BoundedThreads]) -> None:
    """Give the kernel what large images have left behind, while there is nothing to do."""
    if not any(pool.busy for pool in pools):
        give_back_freed_memory()


def _auditor(
    settings: Settings, pool: ConnectionPool, registry: CollectorRegistry
) -> AuditWriter | None:
    """Return what keeps the audit trail, None where none is kept."""
    if settings.audit_retention_days == 0:
        return None
    writer = AuditWriter(pool, Retention(_audit_seconds(settings), settings.audit_entries))
    registry.register(writer.missed)
    return writer


def _audit_seconds(settings: Settings) -> int:
    return settings.audit_retention_days * 86_400


def _limiters(
    settings: Settings, pool: ConnectionPool, registry: CollectorRegistry
) -> dict[str, Limiter | None]:
    """Return what counts requests, None where there is no limit."""
    missed = missed_counter()
    registry.register(missed)
    rates = {"analyses": settings.rate_limit, "others": settings.rate_limit_read}
    return {
        name: Limiter(name, rate, pool, missed) if rate else None for name, rate in rates.items()
    }
