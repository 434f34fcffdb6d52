"""The end of every task is in the audit trail, once."""

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import redis

from orchestrator.audit.trail import KEY, AuditReader
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_ledger, create_submitter
from orchestrator.settings import Settings
from orchestrator.study import Options
from tests.support.images import gradient, png

IMAGE = png(gradient(64, 64))


def submit(settings: Settings, client: redis.Redis, upload: bytes, caller: str = "") -> str:
    submission = Submission([upload], Options(), caller=caller)
    return create_submitter(settings, client).submit(submission).identifier


def entries(client: redis.Redis) -> list[Any]:
    return list(AuditReader(client, 90 * 86_400).read("", 1000)["entries"])


def test_ends_of_tasks_are_added_with_whose_they_were(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    good = submit(settings, client, IMAGE, "ward7")
    bad = submit(settings, client, b"no image", "ward8")
    ledger = create_ledger(settings, client)
    analyses = {each: ledger.find(each).analysis_id for each in (good, bad)}  # type: ignore[union-attr]
    work()
    found = entries(client)
    assert [{**each, "id": "", "time": ""} for each in found] == [
        {
            "id": "",
            "time": "",
            "caller": caller,
            "action": "task",
            "outcome": outcome,
            "task_id": task,
            "analysis_id": analyses[task],
        }
        for task, caller, outcome in [(good, "ward7", "ok"), (bad, "ward8", "not_an_image")]
    ]
    kept: Any = client.xrange(KEY)
    identifiers = [uuid.UUID(each).bytes for task in (good, bad) for each in (task, analyses[task])]
    assert [fields for _, fields in kept] == [
        {b"ward7\ttask\tok\t\t*\t\t*\t": identifiers[0] + identifiers[1]},
        {b"ward8\ttask\tnot_an_image\t\t*\t\t*\t": identifiers[2] + identifiers[3]},
    ]
    assert not ledger.succeed(good, 1)  # a second end is none
    assert len(entries(client)) == 2
    assert 0 < client.ttl(KEY) <= settings.audit_retention_days * 86_400


def test_a_task_that_nobody_came_to_is_in_the_trail_as_well(
    client: redis.Redis, settings: Settings
) -> None:
    short = replace(settings, queue_ttl=1)
    task = submit(short, client, IMAGE, "ward7")
    ledger = create_ledger(short, client)
    until = time.monotonic() + 30
    while not (found := entries(client)):
        ledger.care()
        assert time.monotonic() < until
        time.sleep(0.2)
    assert [(each["task_id"], each["outcome"]) for each in found] == [(task, "job_expired")]


def test_callers_are_not_told_whose_a_task_is(client: redis.Redis, settings: Settings) -> None:
    task = create_ledger(settings, client).find(submit(settings, client, IMAGE, "ward7"))
    assert task is not None
    assert task.caller == "ward7"
    assert "ward7" not in str(task.as_json())


def test_old_entries_go(client: redis.Redis, settings: Settings, work: Callable[..., str]) -> None:
    old = (int(time.time()) - 91 * 86_400) * 1000
    for number in range(300):  # Redis trims by whole nodes of about a hundred
        client.xadd(KEY, {"action": "task", "outcome": "ok"}, id=f"{old + number}-0")
    submit(settings, client, IMAGE)
    work()
    assert client.xlen(KEY) <= 101
    assert entries(client)[-1]["outcome"] == "ok"


def test_without_retention_there_is_no_trail(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    submit(replace(settings, audit_retention_days=0), client, IMAGE, "ward7")
    work()
    assert not client.exists(KEY)
