"""Tell whether the process lives, and whether what it depends on does."""

from functools import partial
from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.answers import (
    HealthAnswer,
    ModelHealthAnswer,
    ReadyAnswer,
    RedisHealthAnswer,
    ServedModel,
    WorkersHealthAnswer,
)
from orchestrator.errors import (
    BusyError,
    DependencyError,
    ModelUnavailableError,
    ServiceError,
)
from orchestrator.jobs.overview import look, ping
from orchestrator.problems import problem
from orchestrator.services import services

_RETRY_AFTER: Final = 5


async def health(_: Request) -> Response:
    """Say that the process answers; asks nothing of others, so it suits a liveness probe."""
    answer: HealthAnswer = {"status": "ok", "version": version("cxr-service")}
    return JSONResponse(answer)


async def health_model(request: Request) -> Response:
    """Say whether the model server answers and has a servable of our contract, and which."""
    try:
        answer: ModelHealthAnswer = {"status": "ok", "model": await _model(request)}
    except ServiceError as err:
        return problem(request, err)
    return JSONResponse(answer)


async def health_ready(request: Request) -> Response:
    """Say whether an analysis sent now would be answered; suits a readiness probe."""
    try:
        answer: ReadyAnswer = {"status": "ready", "model": await _model(request)}
    except ServiceError as err:
        return problem(request, err)
    return JSONResponse(answer)


async def health_redis(request: Request) -> Response:
    """Say whether Redis answers, and is no replica."""
    here = services(request)
    try:
        await here.watch_threads.run(partial(ping, here.watch))
    except ServiceError as err:
        return problem(request, err)
    answer: RedisHealthAnswer = {"status": "ok"}
    return JSONResponse(answer)


async def health_workers(request: Request) -> Response:
    """Say whether workers live, and how long the queue is."""
    here = services(request)
    try:
        seen = await here.watch_threads.run(partial(look, here.watch))
        seen.require_workers()
    except ServiceError as err:
        return problem(request, err)
    answer: WorkersHealthAnswer = {"status": "ok", **seen.as_json()}
    return JSONResponse(answer)


async def _model(request: Request) -> ServedModel:
    """Return what is served.

    Raises:
        DependencyError: Nothing is, whatever the reason; health is told by 503 alone.
    """
    here = services(request)
    try:
        servable = await here.health_threads.run(here.model.available)
    except BusyError:
        raise
    except DependencyError as err:
        raise ModelUnavailableError(err.detail, retry_after=_RETRY_AFTER) from err
    return {
        "name": servable.card.name,
        "version": servable.version,
        "card_digest": servable.card.digest,
        "labels": list(servable.card.labels),
        "weights": servable.card.weights,
        "warnings": list(servable.card.warnings),
    }


ROUTES = [
    Route("/health", health),
    Route("/health/model", health_model),
    Route("/health/redis", health_redis),
    Route("/health/celery", health_workers),
    Route("/health/workers", health_workers),
    Route("/health/ready", health_ready),
]
