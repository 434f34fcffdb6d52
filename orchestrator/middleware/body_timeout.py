"""Give callers only so much time to send a body.

The time grows with what has come: a large batch over a slow line is fine, a byte now and then is not. Apache's
mod_reqtimeout does the same (``body=30,MinRate=…``).
"""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.connections import LEAST_BYTES_PER_SECOND
from orchestrator.errors import RequestTimeoutError


class BodyTimeoutMiddleware:
    """Raise RequestTimeoutError at the read that waits too long, and close the connection after the answer.

    Once an answer has begun, it can't be another one any more: then such a read says that the caller has gone.

    Args:
        app: What reads bodies.
        seconds: How long a body may take, beside a second for each `LEAST_BYTES_PER_SECOND` that have come.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        until = asyncio.get_running_loop().time() + self.seconds
        complete = late = answered = False

        async def timed_receive() -> Message:
            nonlocal until, complete, late
            if complete:  # whoever still reads waits for the caller to go away, which is no body
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError as err:
                if answered:
                    return {"type": "http.disconnect"}
                late = True
                raise RequestTimeoutError(
                    f"expected the body within {self.seconds:g} seconds, and more time for a large one, got a part"
                    " of it; send it again over a faster line"
                ) from err
            until += len(message.get("body", b"")) / LEAST_BYTES_PER_SECOND
            complete = not message.get("more_body", False)
            return message

        async def closing_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                if late:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self.app(scope, timed_receive, closing_send)
