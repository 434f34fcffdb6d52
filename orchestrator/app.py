"""Wire the HTTP application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypedDict

import anyio
import anyio.to_thread
from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.applications import Starlette
from starlette.middleware import Middleware

from orchestrator.body_limit import BodyLimitMiddleware
from orchestrator.jobs.metrics import QueueCollector
from orchestrator.jobs.wiring import create_caretakers, create_desk
from orchestrator.model_client import open_model
from orchestrator.openapi.document import describe
from orchestrator.problems import HANDLERS
from orchestrator.redis_client import connect
from orchestrator.request_id import RequestIdMiddleware
from orchestrator.routes import (
    batch,
    docs,
    files,
    health,
    hosted,
    metrics,
    predict,
    static,
    stats,
    tasks,
)
from orchestrator.services import BoundedThreads, Services
from orchestrator.settings import Settings
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.create import create_store
from orchestrator.storage.sweeper import sweep_regularly

# Redis answers in a fraction of a millisecond; more threads than these would only wait for each other.
_DESK_THREADS: Final = 16
_DESK_QUEUE: Final = 2000
_STREAMS: Final = 200


class State(TypedDict):
    """What the lifespan hands to every request."""

    services: Services


def create_app(settings: Settings) -> Starlette:
    """Build the application; its clients open when it starts and close when it stops."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        store = create_store(settings)
        client = connect(settings.redis_url)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        QueueCollector(client, registry)
        statistics = Statistics(client, settings.stats_retention_days)
        registry.register(statistics.missed)
        model = open_model(settings, settings.model_calls)
        async with anyio.create_task_group() as background:
            background.start_soon(sweep_regularly, store)
            caretakers = create_caretakers(settings)
            for caretaker in caretakers:
                caretaker.start()
            try:
                yield {
                    "services": Services(
                        settings=settings,
                        model=model,
                        store=store,
                        desk=create_desk(settings, client, store),
                        registry=registry,
                        statistics=statistics,
                        threads=BoundedThreads(settings.request_threads, settings.request_queue),
                        health_threads=BoundedThreads(2, 100),
                        streams=anyio.CapacityLimiter(_STREAMS),
                        desk_threads=BoundedThreads(_DESK_THREADS, _DESK_QUEUE),
                    )
                }
            finally:
                background.cancel_scope.cancel()
                model.close()
                for caretaker in caretakers:
                    await anyio.to_thread.run_sync(caretaker.stop)
                client.close()

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
            *docs.ROUTES,
            *static.ROUTES,
        ],
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(
                BodyLimitMiddleware,
                max_bytes=settings.max_upload_bytes,
                exceptions={"/async/batch": settings.batch_bytes},
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.openapi = describe(app.routes)
    return app
