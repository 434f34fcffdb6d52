"""Two Valkeys behind one address, which a failover makes lead from the one to the other."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.support.redis_server import RedisServer, running_redis


@dataclass
class Pair:
    """A master, one that is to take its place, and a proxy in front; it cuts no connection."""

    old: RedisServer
    new: RedisServer
    listener: socket.socket
    target: int = field(init=False)

    @property
    def url(self) -> str:
        """Return the address that callers know."""
        return f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"

    def demote(self) -> None:
        """Make the master a replica, whose callers stay connected."""
        self.old.client().replicaof("127.0.0.1", str(self.new.port))

    def fail_over(self) -> None:
        """Demote the master; whoever connects from now on comes to the other."""
        self.target = self.new.port
        self.demote()

    def reset(self) -> redis.Redis:
        """Make both empty masters again, the address lead to the old one; return a client of the new one."""
        for server in (self.old, self.new):
            with server.client() as client:
                client.replicaof("NO", "ONE")
                client.config_set("replica-serve-stale-data", "yes")
                client.flushall()
        self.target = self.old.port
        return self.new.client()

    def serve(self) -> None:
        """Lead each connection to where the address leads at its beginning."""
        with suppress(OSError):  # it was closed
            while True:
                caller, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                for ends in ((caller, server), (server, caller)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


@contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    """Run two Valkeys and the proxy until the block ends."""
    with (
        running_redis(folder / "old") as old,
        running_redis(folder / "new") as new,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        pair = Pair(old, new, listener)
        pair.target = old.port
        threading.Thread(target=pair.serve, daemon=True).start()
        yield pair
        listener.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
