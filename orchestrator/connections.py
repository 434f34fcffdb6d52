"""Keep slow clients from holding connections: uvicorn has a time limit for idle ones only.

A connection is closed when a request's head has not come within HEAD_TIMEOUT seconds of its opening or of the answer
before has been taken, however many bytes drip in, and when a client takes nothing of what is sent to it for
SEND_TIMEOUT seconds; one that takes a little may take as long as it needs. One more than CONNECTIONS is answered 503
at once.
"""

import asyncio
import fcntl
import json
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
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
        self._owed_before = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        if len(self.connections) >= self._most:
            transport.write(_refusal())
            transport.close()
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        _cancel(self._head_timer)
        _cancel(self._send_timer)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop waiting once a request has come whole enough to be answered."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            _cancel(self._head_timer)
            if not self.flow.write_paused:
                _cancel(self._send_timer)

    def on_response_complete(self) -> None:
        """Wait until the answer is taken, and for the next request, what is left of this one's body included."""
        self._await_head()
        self._await_taking()
        super().on_response_complete()

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


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer, if there is one; one that has gone off already does not mind."""
    if timer is not None:
        timer.cancel()
