"""Bound the body of every request, whether its length is declared or chunked.

A body of JSON holds its image as base64, which is longer by a third, more with line breaks; the
image that comes out of it is measured when it is decoded.

Starlette's own limit answers in plain text as soon as a response starts; this one raises an error of
the project's tree, so that the caller gets a problem document like any other.
"""

from itertools import count
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.errors import BusyError, TooManyBytesError

_JSON_SLACK: Final = 65_536


class BodyLimitMiddleware:
    """Raise TooManyBytesError at the read that passes the limit, or before the first if the length is declared.

    What all bodies together take in memory is bounded too: the read that passes that raises BusyError.

    Args:
        app: What reads bodies.
        max_bytes: Of an image, which MAX_UPLOAD_BYTES sets.
        batch: Path that takes many images at once.
        batch_bytes: Of a body there, which BATCH_BYTES sets.
        held_bytes: Of all bodies that are not answered yet, which BODY_BYTES sets. Whoever came later gives way, so
            that two large ones don't refuse each other; the first of all may have more.
    """

    def __init__(
        self, app: ASGIApp, max_bytes: int, batch: str, batch_bytes: int, held_bytes: int
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.batch = batch
        self.batch_bytes = batch_bytes
        self.held_bytes = held_bytes
        self._numbers = count()
        self._held: dict[int, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_batch = scope["path"] == self.batch
        limit = self.batch_bytes if is_batch else self._limit(headers.get("content-type", ""))
        setting = "BATCH_BYTES" if is_batch else "MAX_UPLOAD_BYTES"
        declared = headers.get("content-length", "")
        too_large = declared.isdigit() and int(declared) > limit
        total = 0
        number = next(self._numbers)

        async def limited_receive() -> Message:
            nonlocal total
            # Before anything is read: whoever sends "Expect: 100-continue" is spared the sending (RFC 9110, 10.1.1)
            message = {} if too_large else await receive()
            size = len(message.get("body", b""))
            total += size
            self._held[number] = total
            if too_large or total > limit:
                raise TooManyBytesError(
                    f"expected a body of at most {limit} bytes, got more; send less at once, or ask the operator to"
                    f" raise {setting}"
                )
            before = sum(held for other, held in self._held.items() if other < number)
            if size and before and before + total > self.held_bytes:
                raise BusyError(
                    "as many bytes of images are being received as this server takes at once; try again shortly",
                    retry_after=1,
                )
            return message

        try:
            await self.app(scope, limited_receive, send)
        finally:
            self._held.pop(number, None)

    def _limit(self, content_type: str) -> int:
        if content_type.partition(";")[0].strip().lower() == "application/json":
            return self.max_bytes * 3 // 2 + _JSON_SLACK
        return self.max_bytes
