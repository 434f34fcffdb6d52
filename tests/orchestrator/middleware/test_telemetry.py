"""Requests are counted by the template of their route, whatever callers write."""

import json
import logging
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestrator.errors import BusyError
from orchestrator.logs import JsonFormatter
from orchestrator.middleware.request_id import RequestIdMiddleware
from orchestrator.middleware.telemetry import TelemetryMiddleware
from orchestrator.problems import handlers
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.telemetry import Telemetry

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def app(registry: CollectorRegistry) -> Starlette:
    async def fine(_: Request) -> Response:
        inside = registry.get_sample_value("cxr_http_requests_in_flight")
        return PlainTextResponse(str(inside))

    async def full(_: Request) -> Response:
        raise BusyError("full", retry_after=1)

    async def broken(_: Request) -> Response:
        raise ZeroDivisionError

    return Starlette(
        routes=[Route("/things/{name}", fine), Route("/full", full), Route("/broken", broken)],
        middleware=[Middleware(TelemetryMiddleware, telemetry=Telemetry(Metrics(registry)))],
        exception_handlers=handlers(https=False),
    )


async def ask(registry: CollectorRegistry, path: str, method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app(registry), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


def requests(registry: CollectorRegistry, method: str, route: str, status: str) -> float | None:
    labels = {"method": method, "route": route, "status": status}
    return registry.get_sample_value("cxr_http_request_duration_seconds_count", labels)


async def test_a_request_counts_under_its_template_and_is_in_flight_meanwhile() -> None:
    registry = CollectorRegistry()
    answer = await ask(registry, "/things/Meier-Gertrud")
    assert answer.text == "1.0"
    assert requests(registry, "GET", "/things/{name}", "200") == 1
    assert registry.get_sample_value("cxr_http_requests_in_flight") == 0


async def test_unknown_paths_and_methods_don_t_make_labels() -> None:
    registry = CollectorRegistry()
    await ask(registry, "/Meier-Gertrud", "FETCH")
    assert requests(registry, "other", "unmatched", "404") == 1


async def test_a_refusal_counts_by_its_code() -> None:
    registry = CollectorRegistry()
    await ask(registry, "/full")
    labels = {"route": "/full", "code": "busy"}
    assert registry.get_sample_value("cxr_http_problems_total", labels) == 1
    assert requests(registry, "GET", "/full", "503") == 1


async def test_a_defect_counts_as_what_it_is_answered_with() -> None:
    registry = CollectorRegistry()
    assert (await ask(registry, "/broken")).status_code == 500
    labels = {"route": "/broken", "code": "internal_error"}
    assert registry.get_sample_value("cxr_http_problems_total", labels) == 1
    assert requests(registry, "GET", "/broken", "500") == 1
    assert registry.get_sample_value("cxr_http_requests_in_flight") == 0


async def test_a_request_that_nobody_answers_is_logged_and_counted_alike(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        """End as handlers do whose caller has gone."""

    caplog.set_level(logging.INFO, "orchestrator")
    registry = CollectorRegistry()
    identifier = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    asked = {"type": "http", "method": "GET", "headers": [(b"x-request-id", identifier.encode())]}
    inner = TelemetryMiddleware(silent, Telemetry(Metrics(registry)))
    await RequestIdMiddleware(inner)(asked, not_called, not_called)
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    assert line.pop("time")
    assert 0 <= line.pop("duration_ms") < 1000
    assert line == {
        "level": "info",
        "logger": "orchestrator.middleware.telemetry",
        "message": "request",
        "request_id": identifier,
        "method": "GET",
        "route": "unmatched",
        "status": 499,
    }
    assert requests(registry, "GET", "unmatched", "499") == 1


async def not_called(*_: object) -> Any:
    raise AssertionError
