"""Answer a stream of server-sent events, and no more of them at once than were agreed."""

from collections.abc import AsyncIterator

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestrator.errors import BusyError


class EventResponse(StreamingResponse):
    """Send events as they come.

    Raises:
        BusyError: As many streams are open as may be.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str], places: anyio.CapacityLimiter) -> None:
        if places.available_tokens < 1:
            raise BusyError(
                "as many callers are listening as this server takes at once; ask for the task instead",
                retry_after=5,
            )
        super().__init__(
            events,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        async with self._places:
            await super().__call__(scope, receive, send)
