"""Test that a task is counted in the moment it succeeds: neither before nor twice, and not if it fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.errors import NotAnImageError
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_ledger, create_submitter
from orchestrator.redis_client import connect
from orchestrator.settings import Settings
from orchestrator.stats.periods import Period
from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import Tally, of_report
from orchestrator.study import Options
from tests.support.redis_server import running_redis
from tests.support.reports import report

REPORT = report({"Edema": 0.75, "Mass": 0.25})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[redis.Redis]:
    with running_redis(tmp_path / "redis") as server, connect(server.url) as opened:
        yield opened


def begun(client: redis.Redis) -> str:
    task_id = (
        create_submitter(Settings(), client).submit(Submission([b"image"], Options())).identifier
    )
    create_ledger(Settings(), client).begin(task_id)
    return task_id


def counted(statistics: Statistics) -> list[Tally]:
    return list(statistics.read(Period(statistics.today, statistics.today)).values())


def test_a_task_that_succeeds_is_counted_once(client: redis.Redis) -> None:
    ledger, statistics = create_ledger(Settings(), client), Statistics(client, 30)
    task_id = begun(client)
    assert counted(statistics) == []
    assert ledger.succeed(task_id, 10, statistics.arguments(REPORT))
    assert not ledger.succeed(task_id, 10, statistics.arguments(REPORT))
    assert counted(statistics) == [of_report(REPORT)]


def test_a_task_that_has_failed_is_not_counted_by_a_worker_that_comes_late(
    client: redis.Redis,
) -> None:
    ledger, statistics = create_ledger(Settings(), client), Statistics(client, 30)
    task_id = begun(client)
    assert ledger.fail(task_id, NotAnImageError("no image"))
    assert not ledger.succeed(task_id, 10, statistics.arguments(REPORT))
    assert counted(statistics) == []
