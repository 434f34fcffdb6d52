"""What was deleted leaves the files of a real Redis, and nothing else is done to them."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.jobs import keys
from orchestrator.jobs.compaction import compact
from tests.support.redis_server import RedisServer, running_redis

PIXELS = b"\x00pixels of a radiograph\xff"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis whose files are looked at."""
    with running_redis(tmp_path / "redis") as running:
        yield running


def kept(server: RedisServer) -> bytes:
    """Return what is in its files, once nothing writes them anew."""
    with server.client() as client:
        until = time.monotonic() + 20
        while any(
            client.info("persistence")[f"aof_rewrite_{state}"]
            for state in ("in_progress", "scheduled")
        ):
            assert time.monotonic() < until
            time.sleep(0.05)
    time.sleep(0.2)  # the old ones go in the background
    return b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())


def a_day_later(client: redis.Redis) -> None:
    """Let what was done a moment ago have been done a day before."""
    compact(client)
    client.expire(keys.COMPACTED, client.ttl(keys.COMPACTED) - 86_400)


def test_what_was_deleted_leaves_the_disk_once_a_day(own: RedisServer) -> None:
    with own.client() as client:
        for _ in range(2):
            client.set("cxr:blob:upload", PIXELS)
            client.set("cxr:statistics", b"figures")
            client.unlink("cxr:blob:upload")
            compact(client)
            assert PIXELS in kept(own)
            a_day_later(client)
            compact(client)
            assert PIXELS not in kept(own)
            assert b"figures" in kept(own)


def test_what_was_emptied_by_mistake_stays_on_the_disk_for_a_day(own: RedisServer) -> None:
    with own.client() as client:
        a_day_later(client)
        client.set("cxr:statistics", b"figures")
        client.flushall()
        compact(client)
        assert b"figures" in kept(own)
        a_day_later(client)
        compact(client)
        assert b"figures" not in kept(own)


def test_a_redis_without_the_file_gets_none(own: RedisServer) -> None:
    with own.client() as client:
        client.config_set("appendonly", "no")
        for path in own.folder.rglob("*.aof"):
            path.unlink()
        client.set("cxr:blob:upload", PIXELS)
        a_day_later(client)
        compact(client)
        assert PIXELS not in kept(own)


def test_a_file_that_an_operator_copies_is_left_as_it_is(own: RedisServer) -> None:
    with own.client() as client:
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.set("cxr:blob:upload", PIXELS)
        client.unlink("cxr:blob:upload")
        a_day_later(client)
        compact(client)
        assert PIXELS in kept(own)


def test_a_redis_that_forbids_it_is_left_alone_and_the_log_says_so(
    own: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with own.client() as client:
        client.acl_setuser(
            "service", enabled=True, nopass=True, keys="*", commands=["+@all", "-bgrewriteaof"]
        )
    with redis.Redis(port=own.port, username="service", password="any") as client:
        a_day_later(client)
        with caplog.at_level(logging.WARNING):
            compact(client)
        client.ping()
    (record,) = caplog.records
    assert record.message == "append-only file not made anew"
    assert record.__dict__["error"] == "NoPermissionError"
