import logging
import os
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from orchestrator import redis_client
from orchestrator.errors import RedisUnavailableError
from orchestrator.redis_client import connect, translated
from tests.support.model_server import free_port
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RedisServer) -> "redis.Redis":
    return connect(server.url)


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


def failing(
    url: str, caplog: pytest.LogCaptureFixture, *command: str
) -> tuple[str, list[tuple[str, str]]]:
    """Return what a caller is told of a command that fails, and what the log says of one that does so thrice."""
    redis_client._logged.clear()
    caplog.clear()
    client: Any = connect(url)
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        with pytest.raises(RedisUnavailableError) as caught, translated():
            client.execute_command(*command)
    records: list[Any] = caplog.records
    assert "secret" not in f"{caught.value} {[vars(each) for each in records]}"
    return caught.value.detail, [(each.error, each.redis_code) for each in records]


def test_the_log_tells_once_why_redis_does_nothing_and_quotes_nothing(
    server: RedisServer, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client.execute_command("ACL", "SETUSER", "cxr", "on", ">secret", "~*", "&*", "+@all", "-set")
    address = f"127.0.0.1:{server.port}/0"
    set_secret = ("SET", "secret", "secret")

    detail, logged = failing(f"redis://cxr:secret2@{address}", caplog, "GET", "secret")
    assert detail == "Redis refuses the service's password; the operator must set the right one"
    assert logged == [("AuthenticationError", "WRONGPASS")]

    _, logged = failing(f"redis://cxr:secret@{address}", caplog, *set_secret)
    assert logged == [("NoPermissionError", "NOPERM")]

    _, logged = failing(server.url, caplog, "NONESUCH", "secret")
    assert logged == [("ResponseError", "ERR")]

    away = f"redis://127.0.0.1:{free_port()}/0"
    detail, logged = failing(away, caplog, *set_secret)
    assert detail == "Redis can't be reached or is starting; try again shortly"
    assert logged == [("ConnectionError", "")]

    client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    _, logged = failing(server.url, caplog, *set_secret)
    client.execute_command("REPLICAOF", "NO", "ONE")
    assert logged == [("ReadOnlyError", "READONLY")]

    client.config_set("min-replicas-to-write", 1)
    _, logged = failing(server.url, caplog, *set_secret)
    client.config_set("min-replicas-to-write", 0)
    assert logged == [("ResponseError", "NOREPLICAS")]
