"""Measure and trace every request, by the template of its route."""

import time
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.telemetry.definitions import HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_PROBLEMS
from orchestrator.telemetry.recorder import Sample
from orchestrator.telemetry.telemetry import Telemetry, code_of

_SCOPE_KEY: Final = "cxr.problem"
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# What callers that went away would have been answered: 499 as nginx has it, and this code
CLIENT_CLOSED_REQUEST: Final = 499
CLIENT_CLOSED: Final = "client_closed"
_SERVER_ERROR: Final = 500


def route_template(scope: Scope) -> str:
    """Return the path template that matched, or ``unmatched``: a raw path may hold anything."""
    route = scope.get("route")
    template: str = getattr(route, "path", "unmatched")
    return template


def known_method(scope: Scope) -> str:
    """Return the method of a request, or ``other``: a method may be any word."""
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def tell_problem(scope: Scope, code: str) -> None:
    """Say with which error a request is answered."""
    scope[_SCOPE_KEY] = code


def problem_of(scope: Scope) -> str:
    """Return the code of the error that a request is answered with, or nothing."""
    code: str = scope.get(_SCOPE_KEY, "")
    return code


class TelemetryMiddleware:
    """Count requests, their durations and their problems; open a span for each."""

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
                seconds = time.perf_counter() - begin
                record([Sample(HTTP_IN_FLIGHT, -1)])
                record([Sample(HTTP_DURATION, seconds, (method, route, str(status)))])
                if _SCOPE_KEY in scope:
                    record([Sample(HTTP_PROBLEMS, 1, (route, scope[_SCOPE_KEY]))])
                span.name(f"{method} {route}")
                span.add(
                    {
                        "http.request.method": method,
                        "http.route": route,
                        "http.response.status_code": status,
                    }
                )
                if status >= _SERVER_ERROR:
                    span.fail(scope.get(_SCOPE_KEY, str(status)))
