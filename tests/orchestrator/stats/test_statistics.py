"""Test the tallies in a real Valkey: once per analysis, under concurrency, for as long as they are kept."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import redis

from orchestrator.errors import RedisUnavailableError
from orchestrator.redis_client import connect
from orchestrator.stats.periods import Period
from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import of_report, total
from tests.support.redis_server import RedisServer, running_redis
from tests.support.reports import report

TODAY = date(2090, 5, 10)  # in the server's future, so that nothing expires meanwhile
CLIENTS: list["redis.Redis"] = []
EDEMA = {"Edema": 0.75, "Mass": 0.25}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def empty(valkey: RedisServer) -> RedisServer:
    with connect(valkey.url) as client:
        client.flushall()
    return valkey


def at(server: RedisServer, moment: datetime | None = None, retention: int = 30) -> Statistics:
    now = moment or datetime(2090, 5, 10, 12, tzinfo=UTC)
    return Statistics(opened(server.url), retention, lambda: now)


def opened(url: str) -> "redis.Redis":
    """Return a client that is closed after the test."""
    CLIENTS.append(connect(url))
    return CLIENTS[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def test_what_is_recorded_is_read(empty: RedisServer) -> None:
    statistics = at(empty)
    first, second = report(EDEMA), report({"Edema": 0.5, "Nodule": 1.0}, version=2)
    assert statistics.record(first)
    assert statistics.record(second)
    assert statistics.read(Period(TODAY, TODAY)) == {
        TODAY: total([of_report(first), of_report(second)])
    }


def test_an_analysis_counts_once_however_often_it_is_recorded(empty: RedisServer) -> None:
    once = report(EDEMA)
    assert [at(empty).record(once) for _ in range(3)] == [True, False, False]
    assert at(empty).read(Period(TODAY, TODAY)) == {TODAY: of_report(once)}


def test_an_analysis_tried_again_after_midnight_stays_in_its_day(empty: RedisServer) -> None:
    late = datetime(2090, 5, 10, 23, 59, 59, tzinfo=UTC)
    once = report(EDEMA)
    assert at(empty, late).record(once)
    assert not at(empty, late + timedelta(seconds=2)).record(once)
    period = Period(TODAY, TODAY + timedelta(days=1))
    assert list(at(empty, late).read(period)) == [TODAY]


def test_a_burst_of_callers_who_try_again_equals_a_recount(empty: RedisServer) -> None:
    chance = random.Random(7)
    reports = [
        report(
            {label: chance.random() for label in ("Edema", "Mass", "No Finding")},
            version=chance.choice((1, 2)),
        )
        for _ in range(300)
    ]
    tries = reports + chance.choices(reports, k=300)
    chance.shuffle(tries)
    statistics = [at(empty) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        counted = list(
            pool.map(lambda pair: statistics[pair[0] % 8].record(pair[1]), enumerate(tries))
        )
    assert sum(counted) == 300
    found = statistics[0].read(Period(TODAY, TODAY))[TODAY]
    assert found == total(of_report(each) for each in reports)


def test_days_are_kept_as_long_as_was_asked_for(empty: RedisServer) -> None:
    at(empty, retention=30).record(report(EDEMA))
    with connect(empty.url) as client:
        ends = client.expiretime(f"cxr:stats:day:{TODAY}")
    assert datetime.fromtimestamp(int(str(ends)), UTC) == datetime(2090, 6, 9, tzinfo=UTC)


def test_everything_in_redis_ends_by_itself(empty: RedisServer) -> None:
    at(empty).record(report(EDEMA))
    with connect(empty.url) as client:
        keys = list(client.scan_iter("*"))
        assert len(keys) == 2
        assert all(client.ttl(key) > 0 for key in keys)


def test_neither_labels_nor_probabilities_of_one_analysis_are_kept(empty: RedisServer) -> None:
    once = report(EDEMA)
    at(empty).record(once)
    with connect(empty.url) as client:
        assert client.get(f"cxr:stats:counted:{once.analysis_id}") == b""


def test_days_before_the_retention_are_not_asked_for(empty: RedisServer) -> None:
    at(empty, retention=3650).record(report(EDEMA))
    later = datetime(2090, 6, 8, tzinfo=UTC)
    period = Period(TODAY, TODAY + timedelta(days=300))
    assert at(empty, later, retention=30).read(period) != {}
    assert at(empty, later + timedelta(days=1), retention=30).read(period) == {}


def test_without_redis_recording_fails_and_so_does_reading() -> None:
    away = Statistics(opened("redis://127.0.0.1:9/0"), 30)
    with pytest.raises(RedisUnavailableError):
        away.record(report(EDEMA))
    with pytest.raises(RedisUnavailableError):
        away.read(Period(away.today, away.today))


def test_what_was_counted_survives_a_restart(empty: RedisServer) -> None:
    statistics, once = at(empty), report(EDEMA)
    statistics.record(once)
    assert empty.process is not None
    empty.process.terminate()
    empty.process.wait(20)
    with pytest.raises(RedisUnavailableError):
        statistics.record(report(EDEMA))
    empty.start()
    assert not statistics.record(once)
    assert statistics.read(Period(TODAY, TODAY)) == {TODAY: of_report(once)}
