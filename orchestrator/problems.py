"""Answer errors as problem details (RFC 9457)."""

import logging
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ExceptionHandler, Scope

from orchestrator.errors import (
    MalformedBodyError,
    MethodNotAllowedError,
    NotFoundError,
    RequestError,
    ServiceError,
)
from orchestrator.scope import (
    CLIENT_CLOSED,
    CLIENT_CLOSED_REQUEST,
    REQUEST_ID_HEADER,
    request_id,
    tell_problem,
)
from orchestrator.security_headers import add_defaults

_log = logging.getLogger(__name__)


def problem(request: Request, error: ServiceError) -> JSONResponse:
    """Write one error as ``application/problem+json``."""
    tell_problem(request.scope, error.code)
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    content = error.as_json(request_id(request.scope))
    return JSONResponse(content, error.status, headers, media_type="application/problem+json")


def note(scope: Scope, error: ServiceError) -> None:
    """Say which error a request ends in: to metrics and the audit trail, and to the log unless it is the caller's."""
    tell_problem(scope, error.code)
    if not isinstance(error, RequestError):
        fields = {"request_id": request_id(scope), "code": error.code}
        _log.warning("dependency failed", extra={**fields, "detail": error.detail})


def _service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)  # noqa: S101 - Starlette looks handlers up by class
    note(request.scope, error)
    return problem(request, error)


def _http_exception(request: Request, error: Exception) -> JSONResponse:
    """Translate what Starlette raises: unknown paths, wrong methods, bodies it can't parse."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette looks handlers up by class
    response = problem(request, _translate(error))
    response.headers.update(error.headers or {})
    if "Allow" in response.headers:
        response.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """Return the methods that a path takes; a path may have a route per method, and Starlette names one's."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    # Files, which are mounted and no routes, take these two
    return {method for route in matching for method in route.methods or ()} or {"GET", "HEAD"}


def _translate(error: HTTPException) -> ServiceError:
    if error.status_code == NotFoundError.status:
        return NotFoundError(
            "there is nothing at this path; /docs and /openapi.json list the paths"
        )
    if error.status_code == MethodNotAllowedError.status:
        return MethodNotAllowedError("this path takes other methods; see the Allow header")
    return MalformedBodyError(f"the body can't be read: {error.detail}")


def _unexpected(request: Request, _: Exception, *, https: bool) -> JSONResponse:
    """Answer a defect with a generic text; Starlette re-raises it for the log."""
    error = ServiceError("an error of ours; quote the request id when you report it")
    response = problem(request, error)
    # Starlette calls this outside of the middleware that adds these headers to every other answer
    response.headers[REQUEST_ID_HEADER] = request_id(request.scope)
    add_defaults(response.headers, https=https)
    return response


def _client_gone(request: Request, _: Exception) -> Response:
    """Answer nobody: the client closed its connection while it was sending, which is no defect."""
    tell_problem(request.scope, CLIENT_CLOSED)
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def handlers(*, https: bool) -> dict[Any, ExceptionHandler]:
    """Return what answers every error.

    Args:
        https: Whether callers reach the service by HTTPS alone.
    """
    return {
        ServiceError: _service_error,
        HTTPException: _http_exception,
        ClientDisconnect: _client_gone,
        Exception: partial(_unexpected, https=https),
    }
