"""Listen on an address that settings name, or say that it can't be had."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.settings import SettingsError


@contextmanager
def address_explained(prefix: str, host: str, port: int) -> Iterator[None]:
    """Name the settings of an address that can't be listened on.

    Args:
        prefix: What the settings' names begin with: ``METRICS_`` for METRICS_HOST and METRICS_PORT.
        host: The value of the one.
        port: That of the other.

    Raises:
        SettingsError: The address is not this machine's, or the port is taken.
    """
    try:
        yield
    except OSError as err:
        reason = str(err.strerror).partition(" (")[0]  # to which create_server adds the address
        raise SettingsError(
            f"{prefix}HOST, {prefix}PORT: expected an address of this machine and a port of it that no other process"
            f" has, got {host} and {port} ({reason}); set another"
        ) from err


def listen(prefix: str, host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address of this machine that a name stands for; ``::`` is any of IPv6 and of IPv4.

    Args:
        prefix: As for :func:`address_explained`.
        host: An address, or the name of some.
        port: A port, or 0 for any that is free.

    Raises:
        SettingsError: There is none, or one can't be listened on.
    """
    sockets: list[socket.socket] = []
    with address_explained(prefix, host, port):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        absent: OSError | None = None
        for family, *_, address in dict.fromkeys(found):  # one may be named twice
            try:
                sockets.append(_listener(address, family, is_any=host == "::"))
            except OSError as err:
                if err.errno != errno.EADDRNOTAVAIL:
                    raise
                absent = err  # as that of IPv6 is where IPv6 is off
        if absent is not None and not sockets:
            raise absent
    return sockets


def _listener(address: Any, family: int, *, is_any: bool) -> socket.socket:
    """Return a socket that listens on one address, and says that it speaks TCP.

    What ``create_server`` makes names no protocol, nor do the connections that are accepted on it; asyncio then leaves
    Nagle's algorithm on (TCP_NODELAY), and the second part of an answer waits 40 ms for the client to acknowledge the
    first.
    """
    made = socket.create_server(address, family=family, dualstack_ipv6=is_any)
    return socket.socket(made.family, made.type, socket.IPPROTO_TCP, made.detach())
