import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.settings import Settings
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    """Return a client of an empty Redis."""
    with server.client() as found:
        found.flushall()
        yield found


@pytest.fixture
def environment(server: RedisServer, client: redis.Redis, tmp_path: Path) -> dict[str, str]:
    return {"REDIS_URL": server.url, "DATA_DIR": str(tmp_path)}


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return Settings.from_mapping(environment)


@pytest.fixture
def work(environment: dict[str, str]) -> Callable[..., str]:
    """Return a function that works on the queue until it is empty, in a process of its own; it gives the log."""

    def run(**variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.fake_worker"],
            env={**os.environ, **environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=Path(__file__).parents[3],
        )
        return done.stdout + done.stderr

    return run
