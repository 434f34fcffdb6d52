"""Write an entry of the audit trail for every request that sends, takes or deletes something of a patient's."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.access.policy import AUDITED, operation_id
from orchestrator.audit.trail import AuditWriter
from orchestrator.errors import InsufficientScopeError, RateLimitError, ServiceError
from orchestrator.scope import (
    CLIENT_CLOSED,
    CLIENT_CLOSED_REQUEST,
    caller_of,
    known_method,
    problem_of,
    request_id,
    route_template,
    subject_of,
    tell_problem,
)
from orchestrator.telemetry.telemetry import code_of

_FINE: Final = "ok"


class AuditMiddleware:
    """Add an entry once the answer has been sent; the caller does not wait for it.

    Requests without a known key are not in the trail, nor those beyond a rate limit: whoever could fill it with
    them could make older entries go. Metrics and log have them.

    Args:
        app: What is watched.
        writer: Keeps the trail; without one there is none.
    """

    def __init__(self, app: ASGIApp, writer: AuditWriter | None) -> None:
        self.app = app
        self.writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or self.writer is None:
            await self.app(scope, receive, send)
            return
        status = 0

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_send)
        except Exception as err:  # a defect, which is answered outside of here
            status = status or ServiceError.status
            tell_problem(scope, code_of(err))
            raise
        finally:
            if _is_audited(scope):
                await self.writer.append(_fields(scope, status))


def _is_audited(scope: Scope) -> bool:
    code = problem_of(scope)
    if caller_of(scope) is None or code == RateLimitError.code:
        return False
    operation = scope["method"], route_template(scope)
    return operation in AUDITED or code == InsufficientScopeError.code


def _fields(scope: Scope, status: int) -> dict[str, str]:
    """Return an entry.

    Args:
        scope: The request.
        status: That of its answer, 0 if the caller went away before.
    """
    caller = caller_of(scope)
    return {
        "caller": caller.name if caller else "",
        "action": operation_id(known_method(scope), route_template(scope)),
        "outcome": problem_of(scope) or (_FINE if status else CLIENT_CLOSED),
        "status": str(status or CLIENT_CLOSED_REQUEST),
        **subject_of(scope),
        "request_id": request_id(scope),
    }
