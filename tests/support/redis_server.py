"""Run a real Valkey, from its wheel, that can be killed and started again on its file."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from orchestrator.embedded_redis import server_command
from tests.support.ports import free_port


@dataclass
class RedisServer:
    """A Valkey on a fixed port, with its data in a folder."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Return a client that gives bytes."""
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        """Start it and wait until it answers; it has then read what it had written."""
        self.process = subprocess.Popen(
            server_command(self.folder, self.port),
            stdout=subprocess.DEVNULL,
            restore_signals=False,  # SIGXFSZ stays ignored: past a limit a write fails, as on a full disk
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("valkey-server did not answer")

    def kill(self) -> None:
        """End it with no time for anything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it stand still until the block ends: it takes connections and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisServer]:
    """Run a Valkey until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()
