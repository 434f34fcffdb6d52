"""How the queue stands, by what lies in a real Redis."""

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry

from orchestrator.errors import RedisUnavailableError
from orchestrator.jobs import keys
from orchestrator.jobs.metrics import QueueCollector, QueueLimits
from orchestrator.jobs.overview import look, ping
from orchestrator.redis_client import connect_briefly
from tests.support.failover import running_pair
from tests.support.redis_server import RedisServer

SETTINGS = Path(__file__).parents[3] / "docs" / "settings.md"
RIGHTS = re.compile(r"ACL SETUSER cxr on >PASSWORD (.+)")


@pytest.mark.parametrize(
    ("queue", "scheduled", "oldest"),
    [
        ({}, {}, 0),
        ({"a": 20, "b": 10}, {}, 20),
        ({"a": 20}, {"c": 10}, 20),
        ({"a": 20}, {"c": 10, "d": 600, "e": 30}, 600),
        ({}, {"c": 10, "d": 600, "e": 30}, 600),
    ],
)
def test_the_age_is_that_of_the_first_in_the_queue_or_of_the_oldest_to_be_tried_again(
    client: redis.Redis, queue: Mapping[str, int], scheduled: Mapping[str, int], oldest: int
) -> None:
    now = time.time()
    for task_id, age in {**queue, **scheduled}.items():
        client.hset(keys.task_key(task_id), "created", now - age)
    for task_id in queue:
        client.rpush(keys.RQ_QUEUE, task_id)
    for number, task_id in enumerate(scheduled):
        client.zadd(keys.RQ_SCHEDULED, {task_id: now + number})
    seen = look(client)
    assert (seen.waiting, seen.retrying) == (len(queue), len(scheduled))
    assert seen.oldest_waiting_seconds == pytest.approx(oldest, abs=2)


def test_a_task_that_was_forgotten_has_no_age(client: redis.Redis) -> None:
    client.zadd(keys.RQ_SCHEDULED, {"gone": time.time()})
    client.rpush(keys.RQ_QUEUE, "gone")
    assert look(client).oldest_waiting_seconds == 0


def test_it_can_be_seen_while_redis_has_no_memory_left(client: redis.Redis) -> None:
    client.hset(keys.task_key("a"), "created", time.time() - 100)
    client.zadd(keys.RQ_SCHEDULED, {"a": time.time()})
    client.config_set("maxmemory", 1)
    try:
        assert look(client).oldest_waiting_seconds == pytest.approx(100, abs=2)
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize("hours", [-1, 0, 1])
@pytest.mark.parametrize(("left", "workers"), [(90, 1), (60, 1), (50, 0)])
def test_a_worker_lives_as_redis_last_heard_of_it_whatever_its_own_clock_says(
    client: redis.Redis, hours: int, left: int, workers: int
) -> None:
    moment = datetime.now(UTC) + timedelta(hours=hours)
    client.sadd(keys.RQ_WORKERS, "rq:worker:a")
    client.hset("rq:worker:a", mapping={"state": "idle", "last_heartbeat": moment.isoformat()})
    client.expire("rq:worker:a", left)
    assert look(client).workers == workers


def test_it_can_be_seen_by_a_user_who_has_no_right_to_other_keys(server: RedisServer) -> None:
    rights = RIGHTS.search(SETTINGS.read_text("utf-8"))
    assert rights is not None
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "cxr", "reset", "on", ">secret", *rights[1].split()
        )
        client.hset(keys.task_key("a"), "created", time.time() - 100)
        client.zadd(keys.RQ_SCHEDULED, {"a": time.time()})
    url = server.url.replace("://", "://cxr:secret@")
    with connect_briefly(url) as restricted:
        assert look(restricted).oldest_waiting_seconds == pytest.approx(100, abs=2)
        with pytest.raises(redis.exceptions.NoPermissionError):
            restricted.get("another")


@pytest.mark.parametrize("way", [ping, look])
def test_a_replica_is_no_redis_that_answers_until_the_address_leads_to_the_new_master(
    tmp_path: Path, way: Callable[[redis.Redis], object]
) -> None:
    registry = CollectorRegistry()
    with running_pair(tmp_path) as pair, connect_briefly(pair.url) as client:
        QueueCollector(client, QueueLimits(tasks=1000, bytes=10**9), registry)
        way(client)
        assert registry.get_sample_value("cxr_redis_up") == 1
        pair.demote()
        for _ in range(2):
            with pytest.raises(RedisUnavailableError):
                way(client)
        assert registry.get_sample_value("cxr_redis_up") == 0
        pair.fail_over()
        way(client)
        assert registry.get_sample_value("cxr_redis_up") == 1
        pair.new.client().rpush(keys.RQ_QUEUE, "there")
        assert look(client).waiting == 1
