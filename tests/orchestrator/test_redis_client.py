import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.redis_client import connect
from tests.support.redis_server import running_redis


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator["redis.Redis"]:
    folder: Path = tmp_path_factory.mktemp("redis")
    with running_redis(folder) as server:
        yield connect(server.url)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
def test_values_of_every_size_are_kept_as_they_are(client: "redis.Redis", size: int) -> None:
    content = os.urandom(size)
    client.set("a name of ü", content, ex=100)
    assert client.get("a name of ü") == content
    assert 90 < client.ttl("a name of ü") <= 100
    with client.pipeline() as pipe:
        pipe.hset("hash", mapping={"large": content, "half": 0.5, "text": "ü"})
        pipe.hgetall("hash")
        assert pipe.execute()[1] == {b"large": content, b"half": b"0.5", b"text": "ü".encode()}


def test_large_values_are_not_copied_to_be_sent(client: "redis.Redis") -> None:
    content = bytes(20_000_000)
    client.ping()
    tracemalloc.start()
    try:
        client.set("large", content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
