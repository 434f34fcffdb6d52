"""Test the tallies in a real Valkey: what is counted is read, for as long as it is kept."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import redis

from orchestrator.errors import RedisUnavailableError
from orchestrator.redis_client import connect
from orchestrator.stats.periods import Period
from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import of_report, total
from tests.support.redis_server import RedisServer, running_redis
from tests.support.reports import record, report

TODAY = date(2090, 5, 10)  # in the server's future, so that nothing expires meanwhile
CLIENTS: list[redis.Redis] = []
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


def opened(url: str) -> redis.Redis:
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
    record(statistics, first)
    record(statistics, second)
    assert statistics.read(Period(TODAY, TODAY)) == {
        TODAY: total([of_report(first), of_report(second)])
    }


def test_days_are_kept_as_long_as_was_asked_for(empty: RedisServer) -> None:
    record(at(empty, retention=30), report(EDEMA))
    with connect(empty.url) as client:
        ends = client.expiretime(f"cxr:stats:day:{TODAY}")
    assert datetime.fromtimestamp(int(str(ends)), UTC) == datetime(2090, 6, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("retention", "end"),
    [(40, datetime(2090, 6, 19, tzinfo=UTC)), (20, datetime(2090, 6, 9, tzinfo=UTC))],
)
def test_a_day_that_is_counted_is_kept_as_long_as_a_later_retention_says_and_no_shorter(
    empty: RedisServer, retention: int, end: datetime
) -> None:
    record(at(empty, retention=30), report(EDEMA))
    later = at(empty, datetime(2090, 5, 29, 12, tzinfo=UTC), retention)
    later.keep()
    with connect(empty.url) as client:
        assert [*client.scan_iter("cxr:stats:day:*")] == [f"cxr:stats:day:{TODAY}".encode()]
        ends = client.expiretime(f"cxr:stats:day:{TODAY}")
    assert datetime.fromtimestamp(int(str(ends)), UTC) == end


def test_everything_in_redis_ends_by_itself(empty: RedisServer) -> None:
    record(at(empty), report(EDEMA))
    with connect(empty.url) as client:
        keys = list(client.scan_iter("*"))
        assert len(keys) == 2
        assert all(client.ttl(key) > 0 for key in keys)


def test_days_before_the_retention_are_not_asked_for(empty: RedisServer) -> None:
    record(at(empty, retention=3650), report(EDEMA))
    later = datetime(2090, 6, 8, tzinfo=UTC)
    period = Period(TODAY, TODAY + timedelta(days=300))
    assert at(empty, later, retention=30).read(period) != {}
    assert at(empty, later + timedelta(days=1), retention=30).read(period) == {}


def test_without_redis_counting_fails_and_so_does_reading() -> None:
    away = Statistics(opened("redis://127.0.0.1:9/0"), 30)
    with pytest.raises(RedisUnavailableError):
        record(away, report(EDEMA))
    with pytest.raises(RedisUnavailableError):
        away.read(Period(away.today, away.today))
    with pytest.raises(RedisUnavailableError):
        away.keep()


def test_what_was_counted_survives_a_restart(empty: RedisServer) -> None:
    statistics, once = at(empty), report(EDEMA)
    record(statistics, once)
    assert empty.process is not None
    empty.process.terminate()
    empty.process.wait(20)
    with pytest.raises(RedisUnavailableError):
        record(statistics, report(EDEMA))
    empty.start()
    assert statistics.read(Period(TODAY, TODAY)) == {TODAY: of_report(once)}
