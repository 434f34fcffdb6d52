"""Write an entry of the audit trail for every request that sends, takes or deletes something of a patient's."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.access.caller import caller_of
from orchestrator.access.policy import AUDITED, operation_id
from orchestrator.audit.subject import subject_of
from orchestrator.audit.trail import AuditWriter
from orchestrator.errors import InsufficientScopeError, RateLimitError
from orchestrator.request_id import request_id
from orchestrator.telemetry.middleware import problem_of, route_template

_FINE: Final = "ok"
_CLIENT_CLOSED_REQUEST: Final = 499  # as nginx has it


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
        finally:
            if _is_audited(scope, status):
                await self.writer.append(_fields(scope, status or _CLIENT_CLOSED_REQUEST))


def _is_audited(scope: Scope, status: int) -> bool:
    if caller_of(scope) is None or status == RateLimitError.status:
        return False
    operation = scope["method"], route_template(scope)
    return operation in AUDITED or status == InsufficientScopeError.status


def _fields(scope: Scope, status: int) -> dict[str, str]:
    caller = caller_of(scope)
    return {
        "caller": caller.name if caller else "",
        "action": operation_id(scope["method"], route_template(scope)),
        "outcome": problem_of(scope) or _FINE,
        "status": str(status),
        **subject_of(scope),
        "request_id": request_id(scope),
    }
