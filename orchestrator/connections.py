"""Keep slow clients from holding connections: uvicorn has a time limit for idle ones only.

A connection is closed when a request's head has not come within HEAD_TIMEOUT seconds of its opening, or of its first
bytes after an answer, however many bytes drip in, and when a client takes nothing of what is sent to it for
SEND_TIMEOUT seconds; one that takes a little may take as long as it needs. Beyond CONNECTIONS, the one that has rested
longest since its last answer gives way; where none rests, requests are answered 503, but a few connections more may ask
for /health: a probe must not take a process for dead which has much to do.
"""

import asyncio
import fcntl
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.errors import BusyError
from orchestrator.settings import Settings

# Connections beyond the limit on which health is told.
SPARE: Final = 16
# Slower than this for long is no line that anybody uploads images over.
LEAST_BYTES_PER_SECOND: Final = 10_000


class TimedProtocol(H11Protocol):
    """Speak HTTP/1.1 to one client, as uvicorn does, within time limits.

    Args:
        head_timeout: Seconds for a request's head, and for what is left of a body once its request has been answered,
            beside one for each `LEAST_BYTES_PER_SECOND` of that.
        send_timeout: Seconds in which a client must take some of what is sent to it.
        most: Connections there may be, beside the spare ones.
        refused: Counts what is refused.
        uvicorn: What uvicorn gives its protocols.
    """

    def __init__(
        self, head_timeout: float, send_timeout: float, most: int, refused: Counter, **uvicorn: Any
    ) -> None:
        super().__init__(**uvicorn)
        self._head_timeout = head_timeout
        self._send_timeout = send_timeout
        self._most = most
        self._refused = refused
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._owed_before = 0
        self._drop: asyncio.Timeout | None = None
        self._is_stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        if len(self.connections) >= self._most:
            self._make_room()
        if len(self.connections) >= self._most + SPARE:
            self._refused.inc()
            transport.write(_refusal())
            transport.close()
        elif len(self.connections) >= self._most:
            self.app = partial(self._serve_sparingly, self.app)
        self.app = partial(self._serve, self.app)
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        _cancel(self._head_timer)
        _cancel(self._send_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait no longer for a request, but for the rest of it, once it begins to come after an answer."""
        if self.timeout_keep_alive_task is not None:
            self._await_head()
        super().data_received(data)

    def handle_events(self) -> None:
        """Stop waiting once a request has come whole enough to be answered."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            _cancel(self._head_timer)
            if not self.flow.write_paused:
                _cancel(self._send_timer)

    def on_response_complete(self) -> None:
        """Wait until the answer is taken; uvicorn waits for what comes next, unless some of it is there."""
        self._await_taking()
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and self.conn.trailing_data[0]:
            self._unset_keepalive_if_required()
            self._await_head()

    def shutdown(self) -> None:
        """Finish what is under way, but drop no body any longer."""
        self._is_stopping = True
        if self._drop is not None and not self._drop.expired():
            self._drop.reschedule(0)
        super().shutdown()

    def pause_writing(self) -> None:
        """Wait for the client to take what it was sent."""
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        """Stop waiting, unless nothing more is sent that could begin it again: the client takes what it is sent."""
        super().resume_writing()
        if self.cycle.response_complete:
            self._await_taking()
        else:
            _cancel(self._send_timer)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing of offers to speak HTTP/2 or another protocol: some clients make one with each request."""

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """See that an answer reaches a client whose body has not come whole.

        Where it still waits for 100 Continue, it need not send that any more (RFC 9110, section 10.1.1): what it sends
        may be its next request as well, and the connection is closed. Where it sends, the rest is taken and dropped
        before the answer ends: on a connection that were closed earlier, as it has asked for, the kernel would answer
        what still comes with a reset, and the client might never see why (RFC 9112, section 9.6). For the application
        the request is over by then. An answer that says itself that it closes the connection, as to a body that took
        too long, waits for nothing.
        """
        is_given_up = is_owed = False

        async def patient_send(message: Message) -> None:
            nonlocal is_given_up, is_owed
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if self.conn.they_are_waiting_for_100_continue:
                    headers["Connection"] = "close"
                is_given_up = "Connection" in headers
            elif self.cycle.more_body and not is_given_up and not message.get("more_body", False):
                is_owed = True
                message = {**message, "more_body": True}
            await send(message)

        try:
            await app(scope, receive, patient_send)
        finally:
            if is_owed:
                await self._drop_rest(receive)
                await send({"type": "http.response.body"})

    async def _drop_rest(self, receive: Receive) -> None:
        """Take what is left of a body; close the connection where it comes too slowly, or the process is to end."""
        seconds = 0.0 if self._is_stopping else self._head_timeout
        try:
            async with asyncio.timeout(seconds) as self._drop:
                while (message := await receive()).get("more_body", False):
                    until = self._drop.when() or 0.0
                    self._drop.reschedule(until + len(message["body"]) / LEAST_BYTES_PER_SECOND)
        except TimeoutError:
            self.cycle.keep_alive = False
        finally:
            self._drop = None

    async def _serve_sparingly(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Refuse a request on a spare connection while there are too many, unless it asks for health."""
        if len(self.connections) <= self._most or scope["path"].startswith("/health"):
            await app(scope, receive, send)
        else:
            self._refused.inc()
            await _response()(scope, receive, send)

    def _make_room(self) -> None:
        """Close the connection that has rested longest, if one rests: its client has all it asked for."""
        resting = [
            (each.timeout_keep_alive_task.when(), id(each), each)
            for each in self.connections
            if isinstance(each, TimedProtocol)
            and each.timeout_keep_alive_task is not None
            and not each.transport.get_write_buffer_size()
        ]
        if resting:
            *_, longest = min(resting)
            longest.timeout_keep_alive_handler()
            # As it does itself, but only once others had their turn
            self.connections.discard(longest)

    def _await_head(self) -> None:
        _cancel(self._head_timer)
        self._head_timer = self.loop.call_later(self._head_timeout, self._look_for_head)

    def _look_for_head(self) -> None:
        """Close the connection, unless the answer before is still on its way, which the other timer watches."""
        if self._owed():
            self._await_head()
        else:
            self.transport.abort()

    def _await_taking(self) -> None:
        """Begin to look whether the client takes anything; nothing is written meanwhile, so what is owed shrinks."""
        _cancel(self._send_timer)
        self._owed_before = self._owed()
        self._send_timer = self.loop.call_later(self._send_timeout, self._look_for_taking)

    def _look_for_taking(self) -> None:
        """Close the connection of a client that took nothing, which would keep what is in its buffers for ever."""
        owed = self._owed()
        if 0 < owed >= self._owed_before:
            self.transport.abort()
        elif owed:
            self._await_taking()

    def _owed(self) -> int:
        """Return how many bytes the client has not taken yet, of those in this process and of those in the kernel.

        The kernel takes some hundreds of kilobytes, and more of them only once a good part of those is gone, so a slow
        client's progress is seldom seen in this process alone. Other kernels than Linux's may not tell.
        """
        queued = bytes(4)
        with suppress(OSError):
            queued = fcntl.ioctl(
                self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued
            )
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)


def protocol(settings: Settings, registry: CollectorRegistry) -> Callable[..., asyncio.Protocol]:
    """Return what makes the protocol of a connection, with the limits that are set."""
    refused = Counter(
        "cxr_connections_refused",
        "Connections, or requests on them, refused as more are open than CONNECTIONS.",
        registry=registry,
    )
    return partial(
        TimedProtocol,
        settings.head_timeout,
        settings.send_timeout,
        settings.connections,
        refused,
    )


def _response() -> JSONResponse:
    """Return the answer to a request on a connection too many."""
    error = BusyError(
        "as many connections are open as this server takes at once; try again shortly",
        retry_after=1,
    )
    return JSONResponse(
        error.as_json(request_id=""),
        error.status,
        {"Retry-After": str(error.retry_after)},
        media_type="application/problem+json",
    )


def _refusal() -> bytes:
    """Return a whole answer: there is no request yet that the application could answer."""
    response = _response()
    headers = [*response.raw_headers, (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n%b\r\n%b" % (lines, bytes(response.body))


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer, if there is one; one that has gone off already does not mind."""
    if timer is not None:
        timer.cancel()
