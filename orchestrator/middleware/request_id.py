"""Give every request an identifier, which its answer and the log carry."""

import re
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.scope import REQUEST_ID_HEADER, tell_request_id

# Only random identifiers are taken over: free text in this header could carry a patient's name into the log.
_RANDOM_ID: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)


class RequestIdMiddleware:
    """Take over a random request id or make one, and answer it."""

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

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = identifier
            await send(message)

        await self.app(scope, receive, send_with_id)
