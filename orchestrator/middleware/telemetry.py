"""Measure, trace and log every request, by the template of its route."""

import logging
import time
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.scope import (
    CLIENT_CLOSED_REQUEST,
    known_method,
    problem_of,
    request_id,
    route_template,
    tell_problem,
)
from orchestrator.telemetry.definitions import HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_PROBLEMS
from orchestrator.telemetry.recorder import Sample
from orchestrator.telemetry.telemetry import Telemetry, code_of

_SERVER_ERROR: Final = 500
# Asked every few seconds by probes and scrapers; at the usual level they would drown the rest.
_PROBED: Final = ("/health", "/metrics")

_log = logging.getLogger(__name__)


class TelemetryMiddleware:
    """Count requests, their durations and their problems; open a span for each, and log its end.

    The route is told as its template, never as the path that was asked for.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        record = self.telemetry.recorder.record
        method = known_method(scope)
        record([Sample(HTTP_IN_FLIGHT, 1)])
        begin = time.perf_counter()
        parent = Headers(scope=scope).get("traceparent", "")
        with self.telemetry.tracer.span(method, "server", parent) as span:
            try:
                await self.app(scope, receive, noting_send)
            except Exception as err:
                status = status or _SERVER_ERROR
                tell_problem(scope, code_of(err))
                raise
            finally:
                status = status or CLIENT_CLOSED_REQUEST
                route = route_template(scope)
                problem = problem_of(scope)
                seconds = time.perf_counter() - begin
                record([Sample(HTTP_IN_FLIGHT, -1)])
                record([Sample(HTTP_DURATION, seconds, (method, route, str(status)))])
                if problem:
                    record([Sample(HTTP_PROBLEMS, 1, (route, problem))])
                span.name(f"{method} {route}")
                span.add(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "http.response.status_code": status,
                    }
                )
                if status >= _SERVER_ERROR:
                    span.fail(problem or str(status))
                _log.log(
                    logging.DEBUG if route.startswith(_PROBED) else logging.INFO,
                    "request",
                    extra={
                        "request_id": request_id(scope),
                        "method": method,
                        "route": route,
                        "status": status,
                        "duration_ms": round(1000 * seconds, 1),
                    },
                )
