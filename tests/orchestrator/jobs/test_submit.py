import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import Connection

from orchestrator.blobs.base import upload_name
from orchestrator.blobs.in_redis import RedisBlobs
from orchestrator.errors import (
    IdempotencyConflictError,
    QueueFullError,
    RedisUnavailableError,
    TooManyBytesError,
    TooManyFilesError,
)
from orchestrator.jobs import keys
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_desk, create_ledger, create_submitter
from orchestrator.redis_client import connect
from orchestrator.settings import Settings
from orchestrator.storage.create import create_store
from orchestrator.study import Options

ONE = Submission([b"image"], Options())


def test_what_is_accepted_is_there_whole(client: redis.Redis, settings: Settings) -> None:
    task_id = create_submitter(settings, client).submit(ONE).identifier
    ledger = create_ledger(settings, client)
    task = ledger.find(task_id)
    assert task is not None
    assert (task.status, task.kind, task.attempts) == ("PENDING", "zip", 0)
    assert ledger.position(task_id) == 1
    assert client.get(f"cxr:blob:{upload_name(task_id)}") == b"image"
    assert client.lrange(keys.RQ_QUEUE, 0, -1) == [task_id.encode()]


def test_the_answer_is_the_task_as_it_is_kept(client: redis.Redis, settings: Settings) -> None:
    desk = create_desk(settings, client, create_store(settings))
    for position in (1, 2):
        answer = desk.submit(ONE, "key" if position == 2 else "")
        assert answer["position"] == position
        assert answer == desk.show(answer["task_id"])
    assert desk.submit(ONE, "key") == answer
    batch, _ = desk.submit_batch(Submission([b"1", b"2"], Options(), is_batch=True), "batch")
    assert batch == desk.batches.find(batch["batch_id"]).as_json()
    assert batch["counts"] == {"PENDING": 2}
    assert (
        desk.submit_batch(Submission([b"1", b"2"], Options(), is_batch=True), "batch")[0] == batch
    )


@pytest.mark.parametrize("idempotency", ["", "key"])
def test_a_submission_whose_answer_was_lost_is_accepted_once(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch, idempotency: str
) -> None:
    desk = create_desk(settings, connect(settings.redis_url), create_store(settings))
    desk.submit(Submission([b"another"], Options()))  # Redis knows the script from now on
    read, lost = Connection.read_response, []

    def lose(self: Connection, *args: Any, **kwargs: Any) -> Any:
        found = read(self, *args, **kwargs)
        if isinstance(found, list) and found[0] == b"accepted":
            lost.append(found)
            raise redis.ConnectionError("the connection broke")
        return found

    monkeypatch.setattr(Connection, "read_response", lose)
    answer = desk.submit(ONE, idempotency)
    assert len(lost) == 1
    assert answer == desk.show(answer["task_id"])
    assert answer["position"] == 2
    assert client.llen(keys.RQ_QUEUE) == 2
    assert client.get(f"cxr:blob:{upload_name(answer['task_id'])}") == b"image"


def test_every_key_of_a_waiting_task_has_an_end(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(settings, client)
    submitter.submit(ONE, "key")
    submitter.submit(Submission([b"1", b"2"], Options(), is_batch=True))
    endless = [key for key in client.scan_iter() if client.ttl(key) < 0]
    # A count of tasks, which is a statistic, and what RQ's applications have in common
    assert sorted(endless) == [keys.OUTCOMES.encode(), b"rq:queues"]


def test_a_full_queue_refuses_and_leaves_nothing(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(replace(settings, queue_limit=2), client)
    submitter.submit(ONE)
    submitter.submit(ONE)
    before = sorted(client.scan_iter())
    with pytest.raises(QueueFullError) as caught:
        submitter.submit(ONE)
    assert caught.value.retry_after is not None
    with pytest.raises(QueueFullError):
        submitter.submit(Submission([b"1", b"2"], Options(), is_batch=True))
    assert sorted(client.scan_iter()) == before


def test_tasks_that_wait_to_be_tried_again_have_their_places_in_the_queue(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(replace(settings, queue_limit=2), client)
    first, _ = (submitter.submit(ONE).identifier for _ in range(2))
    client.lrem(keys.RQ_QUEUE, 0, first)
    client.zadd(keys.RQ_SCHEDULED, {first: time.time() + 60})
    with pytest.raises(QueueFullError):
        submitter.submit(ONE, "key")  # with a key it is the script alone that refuses


def test_a_batch_that_the_queue_could_never_hold_is_not_told_to_come_again(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(replace(settings, queue_limit=2), client)
    with pytest.raises(TooManyFilesError, match=r"^expected at most 2 images, .*, got 3; "):
        submitter.submit(Submission([b"1", b"2", b"3"], Options(), is_batch=True))
    assert list(client.scan_iter()) == []


def test_nor_is_an_image_that_it_could_never_hold(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(replace(settings, queue_bytes=1000), client)
    with pytest.raises(TooManyBytesError, match=r"^expected at most 1000 bytes, .*, got 1001; "):
        submitter.submit(Submission([bytes(1001)], Options()))
    assert list(client.scan_iter()) == []


def test_the_queue_is_bounded_in_bytes(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(replace(settings, queue_bytes=1000), client)
    big = Submission([bytes(600)], Options())
    first = submitter.submit(big).identifier
    with pytest.raises(QueueFullError):
        submitter.submit(big)
    create_ledger(settings, client).forget(first)
    submitter.submit(big)


@pytest.mark.parametrize("idempotency", ["", "key"])
def test_a_submission_that_fits_exactly_is_accepted(
    client: redis.Redis, settings: Settings, idempotency: str
) -> None:
    submitter = create_submitter(replace(settings, queue_limit=2, queue_bytes=10), client)
    two = Submission([bytes(4), bytes(6)], Options(), is_batch=True)
    assert submitter.submit(two, idempotency).position == 2
    assert client.hget(keys.SIZES, "total") == b"10"


def test_limits_hold_when_many_submit_at_once(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(
        replace(settings, queue_limit=20, queue_bytes=170), connect(settings.redis_url)
    )

    def submit(_: int) -> bool:
        try:
            submitter.submit(Submission([bytes(10)], Options()))
        except QueueFullError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        accepted = sum(pool.map(submit, range(100)))
    assert accepted == 17
    assert client.llen(keys.RQ_QUEUE) == 17
    assert client.hget(keys.SIZES, "total") == b"170"


def test_bytes_that_are_gone_no_longer_count(client: redis.Redis, settings: Settings) -> None:
    kept = create_submitter(replace(settings, queue_bytes=1000), client)
    kept.submit(Submission([bytes(100)], Options()))
    short = replace(settings, queue_bytes=1000, queue_ttl=1, result_ttl=1)
    create_submitter(short, client).submit(Submission([bytes(600)], Options()))
    time.sleep(2.2)
    create_ledger(settings, client).care()
    assert client.hget(keys.SIZES, "total") == b"100"
    kept.submit(Submission([bytes(600)], Options()))


def test_a_submission_that_is_broken_off_leaves_no_bytes(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitter = create_submitter(settings, client)
    put = RedisBlobs.put

    def put_once(self: RedisBlobs, name: str, content: bytes, ttl: int) -> None:
        if client.keys("cxr:blob:*"):
            raise RedisUnavailableError("out of memory")
        put(self, name, content, ttl)

    monkeypatch.setattr(RedisBlobs, "put", put_once)
    with pytest.raises(RedisUnavailableError):
        submitter.submit(Submission([bytes(10), bytes(10)], Options(), is_batch=True))
    assert client.keys("cxr:*") == []


def test_a_submission_whose_upload_is_lost_meanwhile_leaves_nothing(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitter = create_submitter(settings, client)
    monkeypatch.setattr(RedisBlobs, "put", lambda *_: None)
    with pytest.raises(RedisUnavailableError, match=r"^Redis lost the upload"):
        submitter.submit(ONE, "key")
    assert list(client.scan_iter()) == []


def test_a_repeated_submission_is_known_however_full_the_queue_is(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(replace(settings, queue_limit=1), client)
    only = Submission([bytes(10)], Options())
    assert submitter.submit(only, "key").identifier == submitter.submit(only, "key").identifier
    with pytest.raises(QueueFullError):
        submitter.submit(only, "another key")


def test_a_repeated_submission_is_the_same_task(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(settings, client)
    first = submitter.submit(ONE, "a key").identifier
    assert submitter.submit(ONE, "a key").identifier == first
    assert submitter.submit(ONE, "another key").identifier != first
    assert client.llen(keys.RQ_QUEUE) == 2
    with pytest.raises(IdempotencyConflictError):
        submitter.submit(Submission([b"other"], Options()), "a key")
    with pytest.raises(IdempotencyConflictError):
        submitter.submit(Submission([b"image"], Options(font_size=20)), "a key")
    with pytest.raises(IdempotencyConflictError):
        submitter.submit(replace(ONE, callback="https://pacs.example/"), "a key")
    assert b"a key" not in b" ".join(client.scan_iter())


def test_where_one_image_ends_and_the_next_begins_tells_submissions_apart(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(settings, client)
    submitter.submit(Submission([b"ab", b"c"], Options(), is_batch=True), "key")
    with pytest.raises(IdempotencyConflictError):
        submitter.submit(Submission([b"a", b"bc"], Options(), is_batch=True), "key")


def test_a_batch_is_found_as_long_as_its_tasks_are_remembered(
    client: redis.Redis, settings: Settings
) -> None:
    settings = replace(settings, queue_ttl=3600, result_ttl=100, result_memory=1000)
    batch = create_submitter(settings, client).submit(replace(ONE, is_batch=True)).identifier
    assert 4690 < client.ttl(keys.batch_key(batch)) <= 4700


def test_a_batch_is_known_as_long_as_one_of_its_tasks(
    client: redis.Redis, settings: Settings
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    two = Submission([b"1", b"2"], Options(), is_batch=True)
    first, _ = desk.submit_batch(two, "key")
    task_ids = [task["task_id"] for task in first["tasks"]]
    desk.forget(task_ids[0])
    assert desk.submit_batch(two, "key")[0]["counts"] == {"FORGOTTEN": 1, "PENDING": 1}
    assert len(client.keys("cxr:idempotency:*")) == 1
    desk.forget(task_ids[1])
    assert client.keys("cxr:idempotency:*") == []
    again, _ = desk.submit_batch(two, "key")
    assert again["counts"] == {"PENDING": 2}
    assert again["batch_id"] != first["batch_id"]
    assert desk.submit_batch(two, "key")[0] == again


def test_the_key_of_a_task_is_forgotten_with_it(client: redis.Redis, settings: Settings) -> None:
    desk = create_desk(settings, client, create_store(settings))
    first, second = (desk.submit(ONE, key)["task_id"] for key in ("first", "second"))
    desk.forget(first)
    assert len(client.keys("cxr:idempotency:*")) == 1
    assert desk.submit(ONE, "second")["task_id"] == second
    desk.forget(second)
    assert client.keys("cxr:idempotency:*") == []


def test_a_key_whose_task_is_forgotten_by_age_stands_for_nothing(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(settings, client)
    first = submitter.submit(ONE, "key").identifier
    client.delete(keys.task_key(first))
    second = submitter.submit(ONE, "key")
    assert second.identifier != first
    assert [task.task_id for task in second.tasks] == [second.identifier]


def test_callers_have_their_idempotency_keys_to_themselves(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(settings, client)
    ward, other = (replace(ONE, caller=name) for name in ("ward7", "ward8"))
    first = submitter.submit(ward, "key").identifier
    assert submitter.submit(other, "key").identifier != first
    assert submitter.submit(ward, "key").identifier == first
    # Neither name nor key can be chosen so that the two together read as another's
    assert submitter.submit(replace(ONE, caller="ward"), "7\nkey").identifier != first


def test_a_repeated_batch_is_the_same_batch(client: redis.Redis, settings: Settings) -> None:
    submitter = create_submitter(settings, client)
    batch = Submission([b"1", b"2"], Options(), is_batch=True)
    assert submitter.submit(batch, "key").identifier == submitter.submit(batch, "key").identifier
    assert client.llen(keys.RQ_QUEUE) == 2


def test_many_equal_submissions_at_once_are_one_task(
    client: redis.Redis, settings: Settings
) -> None:
    submitter = create_submitter(settings, connect(settings.redis_url))
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: submitter.submit(ONE, "key").identifier, range(50)))
    assert len(found) == 1
    assert client.llen(keys.RQ_QUEUE) == 1
    assert len(client.keys("cxr:blob:*")) == 1


def test_blobs_on_disk_leave_redis_small(client: redis.Redis, settings: Settings) -> None:
    on_disk = replace(settings, blobs="disk")
    task_id = (
        create_submitter(on_disk, client).submit(Submission([bytes(100_000)], Options())).identifier
    )
    assert (settings.data_dir / "blobs" / upload_name(task_id)).stat().st_size == 100_000
    assert client.keys("cxr:blob:*") == []
    assert client.hget(keys.SIZES, "total") == b"100000"


def test_without_redis_a_submission_is_refused_within_seconds() -> None:
    settings = Settings.from_mapping({"REDIS_URL": "redis://127.0.0.1:1/0"})
    begin = time.monotonic()
    with pytest.raises(RedisUnavailableError):
        create_submitter(settings, connect(settings.redis_url)).submit(ONE)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("idempotency", ["", "key"])
def test_without_redis_nothing_is_put_on_the_disk(tmp_path: Path, idempotency: str) -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path, blobs="disk")
    submitter = create_submitter(settings, connect(settings.redis_url))
    with pytest.raises(RedisUnavailableError):
        submitter.submit(ONE, idempotency)
    assert list(tmp_path.iterdir()) == []


def test_the_jobs_own_words_are_json(client: redis.Redis, settings: Settings) -> None:
    task_id = create_submitter(settings, client).submit(ONE).identifier
    data = client.hget(keys.job_key(task_id), "data")
    assert isinstance(data, bytes)
    assert json.loads(zlib.decompress(data)) == [
        "orchestrator.jobs.run.run_task",
        None,
        [task_id],
        {},
    ]
