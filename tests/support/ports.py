"""Choose ports for servers that tests start."""

import random
import socket
from contextlib import suppress

_PORTS = range(20_000, 32_768)  # below those that Linux gives to whoever connects


def free_port() -> int:
    """Return a port that was free a moment ago, and that no connection to elsewhere is given meanwhile."""
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
