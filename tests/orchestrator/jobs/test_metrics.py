"""What Prometheus is told of the service's own errors, and of Redis' append-only file."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry

from orchestrator.jobs.metrics import QueueCollector, QueueLimits
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import eventually

MEGABYTE = 1 << 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RedisServer]:
    """Run a Redis that a test may spoil."""
    with running_redis(tmp_path / "redis") as running:
        yield running


def figure(client: redis.Redis, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    QueueCollector(client, QueueLimits(tasks=1000, bytes=10**9), registry)
    return registry.get_sample_value(name, labels)


@contextmanager
def no_room(server: RedisServer) -> Iterator[None]:
    """Let no file of a Redis grow beyond a megabyte until the block ends."""
    assert server.process is not None
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (MEGABYTE, before[1]))
    yield
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def rewritten(client: redis.Redis) -> None:
    client.bgrewriteaof()
    while client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.05)


def test_the_file_has_the_size_that_it_has_on_the_disk(own: RedisServer) -> None:
    with own.client() as client:
        client.set("upload", b"\xff" * MEGABYTE)
        rewritten(client)
        client.set("result", b"\xff" * 2 * MEGABYTE)
        files = [*own.folder.glob("appendonlydir/*.aof"), *own.folder.glob("appendonlydir/*.rdb")]
        size = sum(path.stat().st_size for path in files)
        assert figure(client, "cxr_redis_file_bytes") == size > 3 * MEGABYTE
        assert figure(client, "cxr_redis_file_writes_ok") == 1


def test_without_a_file_it_is_of_no_size_and_nothing_fails(own: RedisServer) -> None:
    with own.client() as client:
        client.config_set("appendonly", "no")
        assert figure(client, "cxr_redis_file_bytes") == 0
        assert figure(client, "cxr_redis_file_writes_ok") == 1


def test_a_file_that_can_not_be_made_anew_is_told(own: RedisServer) -> None:
    with own.client() as client:
        client.set("upload", b"\xff" * 3 * MEGABYTE)
        rewritten(client)
        with no_room(own):
            rewritten(client)
            assert figure(client, "cxr_redis_file_writes_ok") == 0
        rewritten(client)
        assert figure(client, "cxr_redis_file_writes_ok") == 1


def test_a_file_that_can_not_be_written_to_is_told(own: RedisServer) -> None:
    with own.client() as client:
        client.config_set("appendfsync", "everysec")  # with "always" it would end
        client.set("upload", b"\xff" * (MEGABYTE - 1000))
        with no_room(own):
            client.set("result", b"\xff" * 2000)
            eventually(lambda: figure(client, "cxr_redis_file_writes_ok") == 0)
        eventually(lambda: figure(client, "cxr_redis_file_writes_ok") == 1)


@pytest.mark.parametrize("code", ["internal_error", "store_unavailable", "upload_expired"])
def test_an_error_that_is_not_the_callers_own_is_counted_from_zero_on(
    code: str, own: RedisServer
) -> None:
    with own.client() as client:
        assert figure(client, "cxr_tasks_ended_in_error_total", code=code) == 0
        assert figure(client, "cxr_tasks_ended_in_error_total", code="not_an_image") is None
