"""What the middlewares and the handler of a request tell each other, through the scope that ASGI hands to them all."""

from collections.abc import Mapping
from typing import Final, Literal

from starlette.types import Scope

from orchestrator.access.caller import Caller

REQUEST_ID_HEADER: Final = "X-Request-ID"
# What callers that went away would have been answered: 499 as nginx has it, and this code
CLIENT_CLOSED_REQUEST: Final = 499
CLIENT_CLOSED: Final = "client_closed"

Identifier = Literal["task_id", "batch_id", "analysis_id"]

_REQUEST_ID: Final = "cxr.request_id"
_CALLER: Final = "cxr.caller"
_SUBJECT: Final = "cxr.subject"
_PROBLEM: Final = "cxr.problem"
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def route_template(scope: Scope) -> str:
    """Return the path template that matched, or ``unmatched``: a raw path may hold anything."""
    route = scope.get("route")
    template: str = getattr(route, "path", "unmatched")
    return template


def known_method(scope: Scope) -> str:
    """Return the method of a request, or ``other``: a method may be any word."""
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def tell_request_id(scope: Scope, identifier: str) -> None:
    """Say which identifier a request has."""
    scope[_REQUEST_ID] = identifier


def request_id(scope: Scope) -> str:
    """Return the identifier of the request that a scope belongs to."""
    identifier: str = scope.get(_REQUEST_ID, "")
    return identifier


def tell_caller(scope: Scope, caller: Caller) -> None:
    """Say who sent a request."""
    scope[_CALLER] = caller


def caller_of(scope: Scope) -> Caller | None:
    """Return who sent a request, or None if nobody has said so."""
    found: Caller | None = scope.get(_CALLER)
    return found


def caller_name(scope: Scope) -> str:
    """Return the name of the key that came with a request, or nothing."""
    found = caller_of(scope)
    return found.name if found else ""


def tell_subject(scope: Scope, name: Identifier, value: str) -> None:
    """Say which task, batch or analysis a request is about, by an identifier as this service makes them."""
    scope.setdefault(_SUBJECT, {})[name] = value


def subject_of(scope: Scope) -> Mapping[str, str]:
    """Return what a request was about, as far as it was said."""
    found: Mapping[str, str] = scope.get(_SUBJECT, {})
    return found


def tell_problem(scope: Scope, code: str) -> None:
    """Say with which error a request is answered."""
    scope[_PROBLEM] = code


def problem_of(scope: Scope) -> str:
    """Return the code of the error that a request is answered with, or nothing."""
    code: str = scope.get(_PROBLEM, "")
    return code
