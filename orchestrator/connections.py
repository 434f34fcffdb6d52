"""Keep slow clients from holding connections: uvicorn has a time limit for idle ones only.

A connection is closed when a request's head has not come within HEAD_TIMEOUT seconds of its opening or of the answer
before, however many bytes drip in, and when a client does not take what is sent to it for SEND_TIMEOUT seconds. One
more than CONNECTIONS is answered 503 at once.
"""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.errors import BusyError
from orchestrator.settings import Settings

_RETRY_AFTER: Final = 1


class PatientProtocol(H11Protocol):
    """Speak HTTP/1.1 to one client, as uvicorn does, within time limits.

    Args:
        head_timeout: Seconds for a request's head.
        send_timeout: Seconds in which a client must take some of what is sent to it.
        most: Connections there may be.
        uvicorn: What uvicorn gives its protocols.
    """

    def __init__(self, head_timeout: float, send_timeout: float, most: int, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._head_timeout = head_timeout
        self._send_timeout = send_timeout
        self._most = most
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        if len(self.connections) >= self._most:
            transport.write(_refusal())
            transport.close()
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop waiting once a request has come whole enough to be answered."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_response_complete(self) -> None:
        """Wait for the next request, what is left of this one's body included."""
        self._await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to take what it was sent."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self._send_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting: the client takes what it is sent."""
        super().resume_writing()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _await_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(self._head_timeout, self._give_up)

    def _give_up(self) -> None:
        """Close the connection, whatever lies in its buffers: a client that reads nothing would keep it for ever."""
        self.transport.abort()

    def _cancel(self) -> None:
        for timer in (self._head_timer, self._send_timer):
            if timer is not None:
                timer.cancel()


def protocol(settings: Settings) -> Callable[..., asyncio.Protocol]:
    """Return what makes the protocol of a connection, with the time limits that are set."""
    return partial(
        PatientProtocol,
        settings.head_timeout,
        settings.send_timeout,
        settings.connections,
    )


def _refusal() -> bytes:
    """Return a whole answer: there is no request yet that the application could answer."""
    content = {
        "type": "about:blank",
        "title": BusyError.title,
        "status": BusyError.status,
        "code": BusyError.code,
        "detail": "as many connections are open as this server takes at once; try again shortly",
        "request_id": "",
    }
    body = json.dumps(content).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {_RETRY_AFTER}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
