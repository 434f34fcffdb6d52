import errno
import logging
import os
import socket
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
import redis
import redis.asyncio
from redis.client import Pipeline

from orchestrator import redis_client
from orchestrator.errors import RedisUnavailableError
from orchestrator.redis_client import (
    Pause,
    Script,
    connect,
    connect_async,
    connect_briefly,
    translated,
)
from tests.support.failover import Pair, running_pair
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RedisServer) -> redis.Redis:
    return connect(server.url)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
def test_values_of_every_size_are_kept_as_they_are(client: redis.Redis, size: int) -> None:
    content = os.urandom(size)
    client.set("a name of ü", content, ex=100)
    assert client.get("a name of ü") == content
    assert 90 < client.ttl("a name of ü") <= 100
    with client.pipeline() as pipe:
        pipe.hset("hash", mapping={"large": content, "half": 0.5, "text": "ü"})
        pipe.hgetall("hash")
        assert pipe.execute()[1] == {b"large": content, b"half": b"0.5", b"text": "ü".encode()}


def test_large_values_are_not_copied_to_be_sent(client: redis.Redis) -> None:
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


def test_a_process_that_may_open_no_more_files_is_told_apart(
    server: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(redis.Redis, "execute_command", refuse)
    detail, logged = failing(server.url, caplog, "GET", "secret")
    assert detail == "no connection to Redis can be made now; try again shortly"
    assert logged == [("OSError", "")]


def test_the_log_tells_if_tls_is_why_redis_can_not_be_reached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listening.accept()
                    with caller:
                        caller.sendall(b"-ERR no TLS\r\n")
                        caller.recv(1000)

        threading.Thread(target=answer, daemon=True).start()
        address = f"rediss://127.0.0.1:{listening.getsockname()[1]}/0"
        detail, logged = failing(address, caplog, "PING")
        listening.shutdown(socket.SHUT_RDWR)
    assert detail == "Redis can't be reached or is starting; try again shortly"
    assert logged == [("SSLError", "")]


INCREMENT = "return redis.call('INCR', KEYS[1])"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(tmp_path_factory.mktemp("pair")) as running:
        yield running


def by_script(client: redis.Redis) -> None:
    Script(client, INCREMENT)(["n"], [])


def by_pipeline(client: redis.Redis) -> None:
    with client.pipeline(transaction=False) as pipe:
        pipe.get("other")
        pipe.incr("n")
        assert pipe.execute()[0] is None


def by_transaction(client: redis.Redis) -> None:
    with client.pipeline() as pipe:
        pipe.get("other")
        pipe.incr("n")
        assert pipe.execute()[0] is None


def by_watching(client: redis.Redis) -> None:
    def count(pipe: "Pipeline") -> None:
        pipe.multi()
        pipe.incr("n")

    client.transaction(count, "other")


def by_blocking(client: redis.Redis) -> None:
    client.blmove("nothing", "other", 0.01)  # type: ignore[arg-type]
    client.incr("n")


@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.incr("n"),
        by_script,
        by_pipeline,
        by_transaction,
        by_watching,
        by_blocking,
    ],
)
def test_what_a_demoted_master_refuses_is_done_once_where_its_address_leads_now(
    pair: Pair, write: Callable[[redis.Redis], None]
) -> None:
    new = pair.reset()
    with connect(pair.url) as client:
        write(client)
        assert new.get("n") is None
        pair.fail_over()
        write(client)
        assert new.get("n") == b"1"
        assert client.incr("n") == 2


async def async_script(client: redis.asyncio.Redis) -> None:
    await client.register_script(INCREMENT)(keys=["n"])


async def async_pipeline(client: redis.asyncio.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    pipe.incr("n")
    await pipe.execute()


async def async_transaction(client: redis.asyncio.Redis) -> None:
    pipe = client.pipeline()
    pipe.incr("n")
    await pipe.execute()


@pytest.mark.parametrize(
    "write",
    [lambda client: client.incr("n"), async_script, async_pipeline, async_transaction],
)
def test_so_is_what_a_request_waits_for(
    pair: Pair, write: Callable[[redis.asyncio.Redis], Awaitable[None]]
) -> None:
    new = pair.reset()

    async def scene() -> None:
        pool = connect_async(pair.url, 10)
        client = redis.asyncio.Redis(connection_pool=pool)
        await write(client)
        pair.fail_over()
        await write(client)
        await pool.aclose()

    anyio.run(scene)
    assert new.get("n") == b"1"


@pytest.mark.parametrize("opened", [connect, connect_briefly])
def test_so_is_what_one_that_waits_for_its_master_does_not_read(
    pair: Pair, opened: Callable[[str], redis.Redis]
) -> None:
    new = pair.reset()
    new.set("n", 7)
    with opened(pair.url) as client:
        assert client.get("n") is None
        pair.old.client().config_set("replica-serve-stale-data", "no")
        pair.fail_over()
        assert client.get("n") == b"7"


def test_a_master_that_was_demoted_and_that_its_address_leads_to_still_is_left_again(
    pair: Pair,
) -> None:
    new = pair.reset()
    with connect(pair.url) as client:
        pair.demote()
        with pytest.raises(redis.ReadOnlyError):
            client.incr("n")
        pair.fail_over()
        assert client.incr("n") == 1
    assert new.get("n") == b"1"


def test_a_pause_is_short_and_grows_with_failures_until_there_is_an_answer() -> None:
    now = 100.0
    pause = Pause(lambda: now)
    assert not pause.lasts()
    for expected in (0.5, 1, 2, 4, 8, 10, 10):
        pause.begin()
        now += expected - 0.01
        assert pause.lasts()
        pause.begin()  # another that was under way at the same time
        now += 0.02
        assert not pause.lasts()
    pause.begin()
    assert pause.lasts()
    pause.end()
    assert not pause.lasts()
    pause.begin()
    now += 0.51
    assert not pause.lasts()
