"""Give every request an identifier, log its end, and let nothing else about it be logged."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.errors import ServiceError
from orchestrator.scope import REQUEST_ID_HEADER, known_method, route_template, tell_request_id

# Only random identifiers are taken over: free text in this header could carry a patient's name into the log.
_RANDOM_ID: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)

# Asked every few seconds by probes and scrapers; at the usual level they would drown the rest.
_PROBED: Final = ("/health", "/metrics")

_log = logging.getLogger(__name__)


class RequestIdMiddleware:
    """Take over a random request id or make one, answer it, and log method, route, status and time.

    The route is logged as its template, never as the path that was asked for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        identifier = given.lower() if _RANDOM_ID.fullmatch(given) else str(uuid.uuid4())
        tell_request_id(scope, identifier)
        status = 0
        begin = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = identifier
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:  # a defect, which is answered outside of here
            status = status or ServiceError.status
            raise
        finally:
            route = route_template(scope)
            _log.log(
                logging.DEBUG if route.startswith(_PROBED) else logging.INFO,
                "request",
                extra={
                    "request_id": identifier,
                    "method": known_method(scope),
                    "route": route,
                    "status": status,
                    "duration_ms": round(1000 * (time.perf_counter() - begin), 1),
                },
            )
