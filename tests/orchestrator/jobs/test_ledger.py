import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import pytest
import redis
from rq.registry import FailedJobRegistry, StartedJobRegistry

from orchestrator.blobs.base import upload_name
from orchestrator.errors import (
    ModelUnavailableError,
    NotAnImageError,
    RedisUnavailableError,
    StoreRejectedError,
    StoreUnavailableError,
    TaskRunningError,
)
from orchestrator.jobs import keys, ledger
from orchestrator.jobs.desk import Desk
from orchestrator.jobs.rq_job import TaskJob, open_queue
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_desk, create_ledger, create_submitter
from orchestrator.redis_client import text
from orchestrator.settings import Settings
from orchestrator.storage.create import create_store
from orchestrator.storage.disk import DiskStore
from orchestrator.study import Options, Overlay

ONE = Submission([b"image"], Options())
PICTURE = Overlay(
    label="Mass",
    probability=0.5,
    content=b"picture",
    media_type="image/png",
    extension=".png",
    size=(1, 1),
    radiograph=(0, 0, 1, 1),
)


def taken(client: redis.Redis) -> None:
    """Take the first task out of the queue, as a worker does."""
    client.lmove(keys.RQ_QUEUE, keys.RQ_INTERMEDIATE, "LEFT", "RIGHT")


def put_back(client: redis.Redis, task_id: str) -> None:
    """Put a failed task into the queue again, as an operator does."""
    FailedJobRegistry(queue=open_queue(client), job_class=TaskJob).requeue(task_id)


def drawing(client: redis.Redis, settings: Settings) -> tuple[Desk, str]:
    """Return a task that is worked on and has a picture in the store, with the desk that it was sent to."""
    store = create_store(settings)
    desk = create_desk(settings, client, store)
    task_id = desk.submitter.submit(replace(ONE, kind="hosted")).identifier
    task = desk.ledger.begin(task_id)
    assert task is not None
    store.put(store.name(task.analysis_id), [PICTURE])
    return desk, task_id


def overdue(client: redis.Redis, task_id: str) -> None:
    """Let the lease of a task run out."""
    client.zadd(keys.OPEN, {task_id: 0})


def test_a_task_ends_in_one_state_whatever_comes_after(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    records.begin(task_id)
    assert records.succeed(task_id, 10)
    assert not records.fail(task_id, NotAnImageError("late"))
    assert not records.retry(task_id, ModelUnavailableError("late"))
    assert not records.crash(task_id)
    assert records.begin(task_id) is None
    task = records.find(task_id)
    assert task is not None
    assert (task.status, task.reason) == ("SUCCESS", None)


def test_a_task_that_has_failed_stays_so_whatever_comes_after(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    records.begin(task_id)
    assert records.fail(task_id, NotAnImageError("bad"))
    before = records.find(task_id)
    assert not records.succeed(task_id, 10)
    assert not records.fail(task_id, ModelUnavailableError("late"))
    assert not records.retry(task_id, ModelUnavailableError("late"))
    assert not records.crash(task_id)
    records.stage(task_id, "rendering")
    records.lease(task_id)
    assert records.find(task_id) == before
    assert client.zcard(keys.OPEN) == 0


def test_bytes_are_held_for_a_task_until_it_is_forgotten(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    names = [f"upload-{task_id}", "upload-another"]
    assert records.held(names) == {names[0]: client.zscore(keys.HELD, names[0])}
    records.begin(task_id)
    records.fail(task_id, NotAnImageError("bad"))
    assert set(records.held(names)) == {names[0]}
    client.zadd(keys.HELD, {names[0]: time.time() - 1})
    assert records.held(names) == {}
    records.forget(task_id)
    assert records.held([]) == {}


@pytest.mark.parametrize("blobs", ["redis", "disk"])
def test_the_upload_of_a_failed_task_is_counted_once_and_held_as_long_as_a_result(
    client: redis.Redis, settings: Settings, blobs: Literal["redis", "disk"]
) -> None:
    settings = replace(settings, blobs=blobs, queue_ttl=3600, result_ttl=100)
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    upload = upload_name(task_id)
    records.begin(task_id)
    records.fail(task_id, NotAnImageError("bad"))
    assert records.held_bytes() == len(b"image")
    assert 90 < records.held([upload])[upload] - time.time() <= 100
    if blobs == "redis":
        assert 90 < client.ttl(f"cxr:blob:{upload}") <= 100
    records.forget(task_id)
    assert records.held_bytes() == 0


@pytest.mark.parametrize("fails", [False, True])
def test_bytes_that_are_gone_are_counted_no_more_though_nothing_else_is_held(
    client: redis.Redis, settings: Settings, fails: bool
) -> None:
    settings = replace(settings, queue_ttl=100, result_ttl=1)
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    records.begin(task_id)
    if fails:
        records.fail(task_id, NotAnImageError("bad"))
    else:
        records.succeed(task_id, 3)
    assert records.held_bytes() > 0
    time.sleep(1.5)
    records.care()
    assert records.held_bytes() == 0


def test_the_upload_goes_at_the_moment_of_success(client: redis.Redis, settings: Settings) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    records.begin(task_id)
    assert client.exists(f"cxr:blob:{upload_name(task_id)}")
    records.succeed(task_id, 3)
    assert not client.exists(f"cxr:blob:{upload_name(task_id)}")
    assert records.held_bytes() == 3


def test_a_try_that_another_has_overtaken_is_not_the_one_under_way(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    first, second = records.begin(task_id), records.begin(task_id)
    assert first is not None
    assert second is not None
    assert (records.is_at(first), records.is_at(second)) == (False, True)


def test_the_first_name_of_a_tasks_pictures_stays(client: redis.Redis, settings: Settings) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    assert [records.keep_name(task_id, name) for name in ("a", "b")] == ["a", "a"]


def test_a_waiting_task_is_left_alone(client: redis.Redis, settings: Settings) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    for _ in range(3):
        overdue(client, task_id)
        assert records.care() == []
    assert client.llen(keys.RQ_QUEUE) == 1


def test_an_orphan_is_put_back_at_the_second_look(client: redis.Redis, settings: Settings) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    for _ in range(2):
        taken(client)
        records.begin(task_id)
        records.stage(task_id, "predicting")
        overdue(client, task_id)
        for _ in range(2):  # the second comes too soon
            assert records.care() == []
        overdue(client, task_id)
        assert records.care() == [task_id]
        assert client.lrange(keys.RQ_QUEUE, 0, -1) == [task_id.encode()]
        assert client.llen(keys.RQ_INTERMEDIATE) == 0
        assert (client.zscore(keys.OPEN, task_id) or 0) > time.time()
        task = records.find(task_id)
        assert task is not None
        assert (task.status, task.stage) == ("RETRY", "")


def test_a_task_that_was_taken_and_never_begun_has_cost_no_worker(
    client: redis.Redis, settings: Settings
) -> None:
    """A Redis without memory now and then lets a task be taken, and refuses what comes next."""
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    for _ in range(6):
        taken(client)
        overdue(client, task_id)
        assert records.care() == []
        overdue(client, task_id)
        assert records.care() == [task_id]
        taken(client)
        assert records.crash(task_id)
        client.rpush(keys.RQ_QUEUE, task_id)
    assert client.hget(keys.task_key(task_id), "crashes") is None


@pytest.mark.parametrize(
    ("key", "longest"), [(keys.RQ_SCHEDULED, 30), (keys.OPEN, 60)], ids=["scheduled", "open"]
)
def test_no_moment_lies_further_ahead_than_any_is_set_though_redis_clock_was_set_back(
    client: redis.Redis, settings: Settings, key: str, longest: int
) -> None:
    now = time.time()
    client.zadd(key, {"a": now + 3600, "b": now + longest - 9})
    create_ledger(settings, client).care()
    moments = [client.zscore(key, name) for name in ("a", "b")]
    assert moments == pytest.approx([now + longest, now + longest - 9], abs=3)


def test_what_dead_workers_left_of_their_jobs_goes_after_a_while(
    client: redis.Redis, settings: Settings
) -> None:
    now = time.time()
    client.zadd(keys.RQ_STARTED, {"a:1": now - 700, "b:1": now - 500, "c:1": now + 60})
    create_ledger(settings, client).care()
    assert client.zrange(keys.RQ_STARTED, 0, -1) == [b"b:1", b"c:1"]


def test_a_pause_ends_by_redis_clock(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = create_submitter(settings, client).submit(ONE).identifier
    queue = open_queue(client)
    job = TaskJob.fetch(task_id, connection=client, serializer=queue.serializer)
    real = time.time
    monkeypatch.setattr("orchestrator.jobs.rq_job.time.time", lambda: real() + 3600)
    queue.schedule_job(job, datetime.now(UTC) + timedelta(seconds=3600 + 20))
    assert client.zscore(keys.RQ_SCHEDULED, task_id) == pytest.approx(real() + 20, abs=2)


def test_what_is_held_is_judged_by_redis_clock(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = create_ledger(settings, client)
    upload = upload_name(create_submitter(settings, client).submit(ONE).identifier)
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + 10 * 86_400)
    assert list(records.held([upload])) == [upload]


def test_a_task_that_was_seen_to_wait_since_it_was_missed_is_no_orphan_yet(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    for _ in range(2):
        taken(client)
        overdue(client, task_id)
        assert records.care() == []
        client.lmove(keys.RQ_INTERMEDIATE, keys.RQ_QUEUE, "LEFT", "LEFT")
        overdue(client, task_id)
        assert records.care() == []


def test_a_task_that_was_missed_before_it_failed_is_no_orphan_yet_when_it_is_put_back(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    taken(client)
    overdue(client, task_id)
    assert records.care() == []
    records.fail(task_id, ModelUnavailableError("away"))
    put_back(client, task_id)
    taken(client)
    records.begin(task_id)
    overdue(client, task_id)
    assert records.care() == []


def test_nobody_looks_after_a_task_that_is_forgotten_by_age(
    client: redis.Redis, settings: Settings
) -> None:
    client.zadd(keys.OPEN, {"forgotten": 1})
    create_ledger(settings, client).care()
    assert client.zcard(keys.OPEN) == 0


def test_a_task_that_is_to_be_tried_again_later_is_no_orphan(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    taken(client)
    records.begin(task_id)
    records.retry(task_id, ModelUnavailableError("away"))
    client.lrem(keys.RQ_INTERMEDIATE, 0, task_id)
    client.zadd(keys.RQ_SCHEDULED, {task_id: time.time() + 60})
    for _ in range(3):
        overdue(client, task_id)
        assert records.care() == []
    assert client.zcard(keys.RQ_SCHEDULED) == 1
    assert client.llen(keys.RQ_QUEUE) == 0


def test_a_task_whose_next_try_is_due_comes_before_those_that_have_had_none(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    submitter = create_submitter(settings, client)
    again, first = (submitter.submit(ONE).identifier for _ in range(2))
    taken(client)
    records.begin(again)
    records.retry(again, ModelUnavailableError("away"))
    client.lrem(keys.RQ_INTERMEDIATE, 0, again)
    client.zadd(keys.RQ_SCHEDULED, {again: time.time() - 1})
    client.hset(keys.job_key(again), "status", "scheduled")
    upload = f"cxr:blob:{upload_name(again)}"
    client.expire(upload, 10)
    for _ in range(2):
        records.care()
    assert client.lrange(keys.RQ_QUEUE, 0, -1) == [again.encode(), first.encode()]
    assert client.zcard(keys.RQ_SCHEDULED) == 0
    assert client.hget(keys.job_key(again), "status") == b"queued"
    assert client.ttl(upload) > settings.queue_ttl


def test_a_leased_task_is_no_orphan(client: redis.Redis, settings: Settings) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    taken(client)
    overdue(client, task_id)
    records.care()
    records.lease(task_id)
    assert records.care() == []
    overdue(client, task_id)
    assert records.care() == []  # the lease began the patience anew


def test_a_task_that_is_orphaned_too_often_fails(client: redis.Redis, settings: Settings) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    for _ in range(ledger.MOST_CRASHES):
        taken(client)
        records.begin(task_id)
        for _ in range(2):
            overdue(client, task_id)
            records.care()
    task = records.find(task_id)
    assert task is not None
    assert task.reason is not None
    assert (task.status, task.reason.code) == ("FAILURE", "job_crashed")
    assert client.llen(keys.RQ_QUEUE) == 0
    assert client.hget(keys.job_key(task_id), "status") == b"failed"


def test_a_task_that_waits_too_long_fails_with_the_reason(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, queue_ttl=1)
    records = create_ledger(short, client)
    task_id = create_submitter(short, client).submit(ONE).identifier
    time.sleep(1.1)
    records.care()
    task = records.find(task_id)
    assert task is not None
    assert task.reason is not None
    assert (task.status, task.reason.code) == ("FAILURE", "job_expired")
    assert "no worker came" in task.reason.detail
    meta = client.hget(keys.job_key(task_id), "meta")
    assert isinstance(meta, bytes)
    assert json.loads(meta) == {"reason": task.reason.detail}  # for the operator


@pytest.mark.parametrize("place", [0, -1])
def test_a_task_that_waits_too_long_fails_at_either_end_of_the_queue(
    client: redis.Redis, settings: Settings, place: int
) -> None:
    submitter = create_submitter(settings, client)
    task_ids = [submitter.submit(ONE).identifier for _ in range(3)]
    late = task_ids.pop(place)
    long_ago = time.time() - settings.queue_ttl - 1
    client.hset(keys.task_key(late), "created", long_ago)
    create_ledger(settings, client).care()
    assert client.lrange(keys.RQ_QUEUE, 0, -1) == [task_id.encode() for task_id in task_ids]
    assert client.hget(keys.task_key(late), "status") == b"FAILURE"


@pytest.mark.parametrize("place", [0, -1])
def test_tasks_that_wait_too_long_fail_though_one_beside_them_is_forgotten(
    client: redis.Redis, settings: Settings, place: int
) -> None:
    """A task that was put back may be, and RQ knows nothing of that."""
    submitter = create_submitter(settings, client)
    submission = replace(ONE, callback="https://example.org/")
    task_ids = [submitter.submit(submission).identifier for _ in range(4)]
    for task_id in task_ids:
        client.hset(keys.task_key(task_id), "created", time.time() - settings.queue_ttl - 1)
    gone = task_ids.pop(place)
    client.delete(keys.task_key(gone))
    records = create_ledger(settings, client)
    records.care()
    assert client.llen(keys.RQ_QUEUE) == 0
    found = [records.find(task_id) for task_id in task_ids]
    assert [task and task.reason and task.reason.code for task in found] == ["job_expired"] * 3
    assert {text(each) for each in client.zrange(keys.OUTBOX, 0, -1)} == set(task_ids)
    assert set(FailedJobRegistry(queue=open_queue(client)).get_job_ids()) == set(task_ids)
    assert not client.exists(keys.task_key(gone), keys.job_key(gone))


def test_a_task_that_was_put_back_and_is_forgotten_makes_way(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, result_ttl=1, result_memory=0)
    records = create_ledger(short, client)
    task_id = create_submitter(short, client).submit(ONE).identifier
    taken(client)
    client.lrem(keys.RQ_INTERMEDIATE, 0, task_id)
    records.begin(task_id)
    records.fail(task_id, ModelUnavailableError("away"))
    put_back(client, task_id)
    time.sleep(1.1)
    assert client.lrange(keys.RQ_QUEUE, 0, -1) == [task_id.encode()]
    records.care()
    assert client.llen(keys.RQ_QUEUE) == 0
    assert FailedJobRegistry(queue=open_queue(client)).get_job_ids() == []
    assert not client.exists(keys.task_key(task_id), keys.job_key(task_id))


def test_what_workers_took_of_forgotten_tasks_is_listed_no_more(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(settings, client)
    task_ids = [submitter.submit(ONE).identifier for _ in range(3)]
    for _ in task_ids:
        taken(client)
    for task_id in (task_ids[0], task_ids[2]):
        client.delete(keys.task_key(task_id), keys.job_key(task_id))
    create_ledger(settings, client).care()
    assert client.lrange(keys.RQ_INTERMEDIATE, 0, -1) == [task_ids[1].encode()]


def test_a_task_that_is_tried_for_too_long_tells_why_the_last_try_failed(
    client: redis.Redis, settings: Settings
) -> None:
    ledger = create_ledger(replace(settings, queue_ttl=1), client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    ledger.begin(task_id)
    ledger.retry(task_id, ModelUnavailableError('the "model server" is away: Übung'))
    time.sleep(1.1)
    ledger.care()
    task = ledger.find(task_id)
    assert task is not None
    assert task.reason is not None
    assert (task.status, task.reason.code) == ("FAILURE", "job_expired")
    assert task.reason.detail.endswith('The last one: the "model server" is away: Übung')
    assert "no worker came" not in task.reason.detail


def test_a_task_that_is_to_be_tried_again_has_no_stage_and_is_soon_looked_after(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    records.begin(task_id)
    records.stage(task_id, "predicting")
    records.retry(task_id, ModelUnavailableError("away"))
    task = records.find(task_id)
    assert task is not None
    assert (task.status, task.stage) == ("RETRY", "")
    assert (client.zscore(keys.OPEN, task_id) or 0) - time.time() <= 5
    assert client.hget(keys.OUTCOMES, "retried:model_unavailable") == b"1"


def test_a_failed_task_that_is_put_back_is_done_once(
    client: redis.Redis, settings: Settings
) -> None:
    records = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    records.begin(task_id)
    records.fail(task_id, ModelUnavailableError("away"))
    put_back(client, task_id)
    again = records.begin(task_id)
    assert again is not None
    assert (again.status, again.attempts) == ("STARTED", 2)
    assert records.succeed(task_id, 10)
    assert records.begin(task_id) is None


def expired(client: redis.Redis, settings: Settings, count: int) -> list[str]:
    """Return tasks that have failed, as no worker came to them within a second."""
    submitter = create_submitter(settings, client)
    found = [submitter.submit(ONE).identifier for _ in range(count)]
    time.sleep(1.1)
    create_ledger(settings, client).care()
    assert client.zcard(keys.RQ_FAILED) == count
    return found


def test_failed_tasks_that_are_put_back_wait_however_old_they_are(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, queue_ttl=1)
    records = create_ledger(short, client)
    task_ids = expired(client, short, 3)
    for task_id in task_ids:
        put_back(client, task_id)
    for _ in range(2):
        records.care()
    assert client.lrange(keys.RQ_QUEUE, 0, -1) == [each.encode() for each in task_ids]
    for task_id in task_ids:
        records.begin(task_id)
        assert records.succeed(task_id, 10)


def test_a_failed_task_that_is_put_back_has_its_time_anew(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, queue_ttl=1)
    records = create_ledger(short, client)
    (task_id,) = expired(client, short, 1)
    put_back(client, task_id)
    records.begin(task_id)
    records.retry(task_id, ModelUnavailableError("away"))
    records.care()
    task = records.find(task_id)
    assert task is not None
    assert task.status == "RETRY"
    time.sleep(1.1)
    records.care()
    task = records.find(task_id)
    assert task is not None
    assert task.reason is not None
    assert (task.status, task.reason.code) == ("FAILURE", "job_expired")
    assert task.reason.detail.endswith("The last one: away")


def test_a_failed_task_that_is_put_back_in_vain_is_among_the_failed_again(
    client: redis.Redis, settings: Settings
) -> None:
    """No worker comes to it while its upload is kept."""
    short = replace(settings, queue_ttl=1, result_ttl=1)
    records = create_ledger(short, client)
    (task_id,) = expired(client, short, 1)
    before = records.find(task_id)
    put_back(client, task_id)
    time.sleep(1.1)
    records.care()
    assert client.llen(keys.RQ_QUEUE) == 0
    assert FailedJobRegistry(queue=open_queue(client)).get_job_ids() == [task_id]
    assert client.hget(keys.job_key(task_id), "status") == b"failed"
    assert records.find(task_id) == before


def test_an_old_copy_of_a_task_that_succeeded_does_not_make_it_a_failed_job(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, queue_ttl=1)
    records = create_ledger(short, client)
    task_id = create_submitter(short, client).submit(ONE).identifier
    records.begin(task_id)
    records.succeed(task_id, 10)
    time.sleep(1.1)
    records.care()
    assert client.llen(keys.RQ_QUEUE) == 0
    assert client.zcard(keys.RQ_FAILED) == 0
    assert client.hget(keys.job_key(task_id), "status") != b"failed"


def test_no_other_copy_of_a_failed_task_brings_it_back(
    client: redis.Redis, settings: Settings
) -> None:
    ledger = create_ledger(settings, client)
    submission = replace(ONE, callback="https://example.org/")
    task_id = create_submitter(settings, client).submit(submission).identifier
    client.lpop(keys.RQ_QUEUE)
    ledger.begin(task_id)
    for _ in range(2):  # its worker stood still for longer than its lease
        client.zadd(keys.OPEN, {task_id: time.time() - 1})
        rescued = ledger.care()
    assert rescued == [task_id]
    assert ledger.fail(task_id, StoreRejectedError("no"))
    assert client.lrange(keys.RQ_QUEUE, 0, -1) == []
    client.zrem(keys.OUTBOX, task_id)  # its callback is delivered

    assert ledger.begin(task_id) is None  # by the worker that has taken the copy
    assert not ledger.succeed(task_id, 10)

    assert client.zcard(keys.OUTBOX) == 0
    outcomes = client.hgetall(keys.OUTCOMES)
    assert outcomes == {b"accepted": b"1", b"rescued": b"1", b"failed:store_rejected": b"1"}


def test_a_worker_that_dies_at_the_end_of_a_failed_task_does_not_bring_it_back(
    client: redis.Redis, settings: Settings
) -> None:
    ledger = create_ledger(settings, client)
    task_id = create_submitter(settings, client).submit(ONE).identifier
    client.lpop(keys.RQ_QUEUE)
    ledger.begin(task_id)
    client.hset(keys.job_key(task_id), "status", "started")
    client.zadd(keys.RQ_STARTED, {f"{task_id}:execution": 1})
    ledger.fail(task_id, StoreRejectedError("no"))

    queue = open_queue(client)
    StartedJobRegistry(queue=queue, job_class=TaskJob).cleanup()  # as the next worker does

    assert client.zcard(keys.RQ_SCHEDULED) == 0
    assert client.llen(keys.RQ_QUEUE) == 0
    assert FailedJobRegistry(queue=queue).get_job_ids() == [task_id]
    assert ledger.begin(task_id) is None


def test_what_a_task_is_made_of_lasts_as_long_as_it_is_worked_on(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, queue_ttl=1, result_ttl=1, result_memory=1)
    ledger = create_ledger(short, client)
    task_id = create_submitter(short, client).submit(ONE).identifier
    parts = [keys.task_key(task_id), keys.job_key(task_id), f"cxr:blob:upload-{task_id}"]
    for hold_on in (
        lambda: ledger.begin(task_id),
        lambda: ledger.lease(task_id),
        lambda: ledger.retry(task_id, ModelUnavailableError("away")),
    ):
        for part in parts:
            client.expire(part, 2)
        client.zadd(keys.HELD, {f"upload-{task_id}": time.time() + 2})
        hold_on()
        for part in parts:
            assert client.ttl(part) > 60
        assert ledger.held([f"upload-{task_id}"])
        assert (client.zscore(keys.HELD, f"upload-{task_id}") or 0) > time.time() + 60


def test_what_a_waiting_task_is_made_of_and_found_by_lasts_as_long_as_it_may_wait_by_now(
    client: redis.Redis, settings: Settings
) -> None:
    """The setting is raised while it waits; lowered, it takes nothing of its time."""
    before, after = (
        replace(settings, queue_ttl=ttl, result_ttl=10, result_memory=100) for ttl in (50, 1000)
    )
    batch = Submission([b"image", b"another"], Options(), is_batch=True)
    accepted = create_submitter(before, client).submit(batch, "key")
    parts: list[bytes | str] = [
        *client.scan_iter("cxr:idempotency:*"),
        keys.batch_key(accepted.identifier),
    ]
    task_ids = [task.task_id for task in accepted.tasks]
    for task_id in task_ids:
        parts += [keys.task_key(task_id), keys.job_key(task_id), f"cxr:blob:upload-{task_id}"]
    assert len(parts) == 8
    for each, least in ((after, 1009), (before, 1000)):
        for task_id in task_ids:
            overdue(client, task_id)
        create_ledger(each, client).care()
        ends = [client.ttl(part) for part in parts]
        assert min(ends[:2]) > least
        assert min(ends) >= least
        for task_id in task_ids:
            assert (client.zscore(keys.HELD, f"upload-{task_id}") or 0) > time.time() + least - 1


@pytest.mark.parametrize("end", ["begun", "tried again", "succeeded", "failed", "put back"])
def test_what_a_task_is_found_by_lasts_longer_than_its_record(
    client: redis.Redis, settings: Settings, end: str
) -> None:
    """The settings are raised while it waits."""
    before, after = (
        replace(settings, queue_ttl=100, result_ttl=ttl, result_memory=ttl) for ttl in (10, 1000)
    )
    batch = Submission([b"image"], Options(), callback="https://example.org/", is_batch=True)
    accepted = create_submitter(before, client).submit(batch, "key")
    (task_id,) = (task.task_id for task in accepted.tasks)
    records = create_ledger(after, client)
    records.begin(task_id)
    if end == "tried again":
        records.retry(task_id, ModelUnavailableError("away"))
    elif end == "succeeded":
        records.succeed(task_id, 10)
    elif end != "begun":
        records.fail(task_id, NotAnImageError("bad"))
    if end == "put back":
        records = create_ledger(replace(after, queue_ttl=3000), client)
        put_back(client, task_id)
        records.begin(task_id)
    kept = {"begun": 1100, "tried again": 1100, "put back": 4000}.get(end, 2000)
    assert kept - 10 < client.ttl(keys.task_key(task_id)) <= kept
    over = client.pexpiretime(keys.task_key(task_id))
    (once,) = client.scan_iter("cxr:idempotency:*")
    for key in (once, keys.batch_key(accepted.identifier)):
        assert client.pexpiretime(key) == over + 1000


def test_what_a_task_is_made_of_lasts_as_long_as_it_may_wait_since_it_was_put_back(
    client: redis.Redis, settings: Settings
) -> None:
    task_id = create_submitter(settings, client).submit(ONE).identifier
    parts = [keys.task_key(task_id), keys.job_key(task_id), f"cxr:blob:upload-{task_id}"]
    client.hset(parts[0], mapping={"created": 0, "put_back": time.time()})
    for part in parts:
        client.expire(part, 10)
    overdue(client, task_id)
    create_ledger(settings, client).care()
    assert min(client.ttl(part) for part in parts) > settings.queue_ttl


def test_what_a_waiting_task_is_made_of_is_left_alone_while_the_settings_are(
    client: redis.Redis, settings: Settings
) -> None:
    """Every renewal is a write to Redis' file."""
    task_id = create_submitter(settings, client).submit(ONE).identifier
    client.expire(f"cxr:blob:upload-{task_id}", 10)
    for _ in range(3):
        overdue(client, task_id)
        create_ledger(settings, client).care()
        time.sleep(0.4)
    assert client.ttl(f"cxr:blob:upload-{task_id}") <= 10


def test_a_task_is_remembered_as_long_as_its_callback_is_tried(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, result_ttl=1, result_memory=1)
    ledger = create_ledger(short, client)
    called, plain = (
        create_submitter(short, client).submit(replace(ONE, callback=url)).identifier
        for url in ("https://example.org/", "")
    )
    for task_id in (called, plain):
        ledger.begin(task_id)
        ledger.succeed(task_id, 10)
    assert client.ttl(keys.task_key(called)) > 300
    assert client.ttl(keys.task_key(plain)) <= 2


@pytest.mark.parametrize("key", [keys.RQ_FAILED, keys.RQ_FINISHED])
def test_jobs_whose_time_is_over_are_listed_no_more(
    client: redis.Redis, settings: Settings, key: str
) -> None:
    client.zadd(key, {"old": time.time() - 1, "new": time.time() + 60})
    create_ledger(settings, client).care()
    assert client.zrange(key, 0, -1) == [b"new"]
    assert client.ttl(key) > 0


@pytest.mark.parametrize("key", [keys.RQ_ALL_WORKERS, keys.RQ_WORKERS])
def test_workers_that_were_killed_are_listed_no_more(
    client: redis.Redis, settings: Settings, key: str
) -> None:
    client.hset("rq:worker:alive", "state", "idle")
    client.sadd(key, "rq:worker:alive", "rq:worker:killed")
    create_ledger(settings, client).care()
    assert client.smembers(key) == {b"rq:worker:alive"}
    # The list of all has workers of other applications, who enter it but once
    assert client.ttl(key) == (-1 if key == "rq:workers" else 600)


def test_a_long_queue_is_gone_through_bit_by_bit(client: redis.Redis, settings: Settings) -> None:
    ledger = create_ledger(settings, client)
    names = [f"task-{number:04d}" for number in range(2000)]
    for name in names:
        client.hset(keys.task_key(name), mapping={"status": "PENDING", "created": time.time()})
    client.rpush(keys.RQ_QUEUE, *names)
    client.zadd(keys.OPEN, dict.fromkeys(names, 1))

    ledger.care()

    scores = [client.zscore(keys.OPEN, name) or 0 for name in names]
    assert scores.count(1) == 1000
    assert 5 < max(scores) - time.time() < 11


def test_forgetting_a_running_task_leaves_the_pictures_to_it(
    client: redis.Redis, settings: Settings
) -> None:
    desk, task_id = drawing(client, settings)

    with pytest.raises(TaskRunningError):
        desk.forget(task_id)

    assert list(Path(settings.data_dir).rglob("*.png"))


def test_forgetting_a_task_that_is_to_be_tried_again_takes_its_pictures_along(
    client: redis.Redis, settings: Settings
) -> None:
    desk, task_id = drawing(client, settings)
    desk.ledger.retry(task_id, ModelUnavailableError("away"))

    desk.forget(task_id)

    assert not list(Path(settings.data_dir).rglob("*.png"))
    assert desk.ledger.find(task_id) is None


def test_forgetting_a_failed_task_takes_the_pictures_of_its_tries_along(
    client: redis.Redis, settings: Settings
) -> None:
    desk, task_id = drawing(client, settings)
    desk.ledger.fail(task_id, RedisUnavailableError("its result could not be kept"))
    assert list(Path(settings.data_dir).rglob("*.png"))

    desk.forget(task_id)

    assert not list(Path(settings.data_dir).rglob("*.png"))


@pytest.mark.parametrize("status", ["RETRY", "FAILURE", "SUCCESS"])
def test_a_task_whose_pictures_cannot_be_deleted_now_is_forgotten_later(
    client: redis.Redis, settings: Settings, status: str
) -> None:
    desk, task_id = drawing(client, settings)
    if status == "RETRY":
        desk.ledger.retry(task_id, ModelUnavailableError("away"))
    elif status == "FAILURE":
        desk.ledger.fail(task_id, RedisUnavailableError("its result could not be kept"))
    else:
        desk.ledger.succeed(task_id, 10)
    away = StoreUnavailableError("the store is away; try again later")
    with patch.object(DiskStore, "delete", side_effect=away), pytest.raises(StoreUnavailableError):
        desk.forget(task_id)

    desk.forget(task_id)

    assert not list(Path(settings.data_dir).rglob("*.png"))
    assert desk.ledger.find(task_id) is None


@pytest.mark.parametrize("attempts", [0, 1])
def test_forgetting_a_task_that_is_done_meanwhile_takes_its_pictures_along(
    client: redis.Redis, settings: Settings, attempts: int
) -> None:
    store = create_store(settings)
    desk = create_desk(settings, client, store)
    task_id = desk.submitter.submit(replace(ONE, kind="hosted")).identifier
    for _ in range(attempts):
        desk.ledger.begin(task_id)
        desk.ledger.retry(task_id, ModelUnavailableError("away"))
    forget = desk.ledger.forget

    def done_first(task_id: str) -> str:
        task = desk.ledger.begin(task_id)
        assert task is not None
        store.put(store.name(task.analysis_id), [PICTURE])
        desk.ledger.succeed(task_id, 10)
        return forget(task_id)

    with patch.object(desk.ledger, "forget", done_first):
        desk.forget(task_id)

    assert not list(Path(settings.data_dir).rglob("*.png"))


def test_a_task_that_is_put_back_is_tried_and_called_back_as_often_as_any(
    client: redis.Redis, settings: Settings
) -> None:
    ledger = create_ledger(settings, client)
    submission = replace(ONE, callback="https://pacs.example/")
    task_id = create_submitter(settings, client).submit(submission).identifier
    client.hset(keys.task_key(task_id), mapping={"crashes": 4, "callback_tries": 8})
    ledger.fail(task_id, RedisUnavailableError("away"))
    assert client.zcard(keys.OUTBOX) == 1
    put_back(client, task_id)
    ledger.begin(task_id)
    found = client.hmget(keys.task_key(task_id), "crashes", "callback_tries")
    assert found == [None, None]
    assert client.zcard(keys.OUTBOX) == 0


def test_a_task_is_as_old_as_redis_says(client: redis.Redis, settings: Settings) -> None:
    with patch("time.time", return_value=1_000_000_000.0):  # an API whose clock is years behind
        task_id = create_submitter(settings, client).submit(ONE).identifier
    ledger = create_ledger(settings, client)
    ledger.care()
    task = ledger.find(task_id)
    assert task is not None
    assert task.status == "PENDING"
    assert abs(task.created - client.time()[0]) < 60


def test_forgetting_leaves_no_trace(client: redis.Redis, settings: Settings) -> None:
    desk = create_desk(settings, client, create_store(settings))
    waiting, done = (desk.submitter.submit(ONE).identifier for _ in range(2))
    desk.ledger.begin(done)
    with pytest.raises(TaskRunningError):
        desk.forget(done)
    desk.ledger.succeed(done, 10)
    desk.forget(waiting)
    desk.forget(done)
    for task_id in (waiting, done):
        assert [key for key in client.scan_iter() if task_id.encode() in key] == []
    assert client.llen(keys.RQ_QUEUE) == 0
    assert client.hget(keys.SIZES, "total") == b"0"


def traces(client: redis.Redis, task_id: str) -> list[bytes]:
    """Return the keys that tell of a task, by their names or by what they hold."""
    read: dict[str, Callable[[bytes], object]] = {
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1),
        "hash": client.hgetall,
        "stream": lambda _: None,  # the audit trail, which is there to keep it
    }
    found = {key: read[text(client.type(key))](key) for key in client.scan_iter()}
    return [key for key, value in found.items() if task_id in repr((key, value))]


@pytest.mark.parametrize("status", ["PENDING", "RETRY", "SUCCESS", "FAILURE"])
def test_forgetting_a_task_in_any_state_leaves_no_trace(
    client: redis.Redis, settings: Settings, status: str
) -> None:
    records = create_ledger(settings, client)
    submission = replace(ONE, callback="https://pacs.example/")
    task_id = create_submitter(settings, client).submit(submission, "key").identifier
    if status != "PENDING":
        taken(client)
        records.begin(task_id)
    if status == "RETRY":
        records.retry(task_id, ModelUnavailableError("away"))
        client.zadd(keys.RQ_SCHEDULED, {task_id: time.time() + 60})
    elif status == "SUCCESS":
        client.set(f"cxr:blob:result-{task_id}-1", b"result")
        records.succeed(task_id, 6)
        client.zadd(keys.RQ_FINISHED, {task_id: time.time() + 60})
        client.set(f"{keys.RQ_RESULTS}{task_id}", b"RQ's own")
    elif status == "FAILURE":
        records.fail(task_id, NotAnImageError("bad"))
    assert len(traces(client, task_id)) > 5

    assert records.forget(task_id) == status

    assert traces(client, task_id) == []
    assert records.held_bytes() == 0
