"""Test that noted analyses are counted in a real Valkey: all of them, once, whatever happens to it meanwhile."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from orchestrator.errors import RedisUnavailableError
from orchestrator.redis_client import connect
from orchestrator.stats.notes import Notes
from orchestrator.stats.periods import Period
from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import Tally, of_report, total
from tests.support.redis_server import RedisServer, running_redis
from tests.support.reports import report
from tests.support.waiting import eventually

TODAY = date(2090, 5, 10)
EDEMA = {"Edema": 0.75, "Mass": 0.25}


class Clock:
    """A clock that is set by hand."""

    now = datetime(2090, 5, 10, 12, tzinfo=UTC)


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def statistics(valkey: RedisServer, clock: Clock) -> Iterator[Statistics]:
    with connect(valkey.url) as client:
        yield Statistics(client, 30, lambda: clock.now)


def delay(registry: CollectorRegistry) -> float:
    found = registry.get_sample_value("cxr_statistics_delay_seconds")
    assert found is not None
    return found


def read(statistics: Statistics) -> dict[date, Tally]:
    return statistics.read(Period(TODAY, TODAY + timedelta(days=1)))


def test_what_is_noted_is_counted_at_the_next_count(statistics: Statistics) -> None:
    registry = CollectorRegistry()
    notes = Notes(statistics, registry)
    assert delay(registry) == 0
    reports = [report(EDEMA), report({"Edema": 0.5, "Nodule": 1.0}, version=2)]
    for each in reports:
        notes.add(each)
    assert read(statistics) == {}
    assert delay(registry) > 0
    notes.count()
    assert read(statistics) == {TODAY: total(of_report(each) for each in reports)}
    assert delay(registry) == 0


def test_everything_in_redis_ends_by_itself(valkey: RedisServer, statistics: Statistics) -> None:
    notes = Notes(statistics)
    notes.add(report(EDEMA))
    notes.count()
    with connect(valkey.url) as client:
        keys = list(client.scan_iter("*"))
        assert len(keys) == 2
        assert all(client.ttl(key) > 0 for key in keys)


def test_redis_holds_no_more_the_oftener_it_is_counted(
    valkey: RedisServer, statistics: Statistics
) -> None:
    notes = [Notes(statistics) for _ in range(2)]
    for _ in range(20):
        for each in notes:
            each.add(report(EDEMA))
            each.count()
    with connect(valkey.url) as client:
        assert client.dbsize() == 3
    assert read(statistics) == {TODAY: total([of_report(report(EDEMA))] * 40)}


def test_each_analysis_belongs_to_the_day_it_was_noted_on(
    statistics: Statistics, clock: Clock
) -> None:
    notes = Notes(statistics)
    before, after = report(EDEMA), report({"Nodule": 1.0})
    notes.add(before)
    clock.now += timedelta(days=1)
    notes.add(after)
    notes.count()
    assert read(statistics) == {
        TODAY: of_report(before),
        TODAY + timedelta(days=1): of_report(after),
    }


def test_what_is_noted_while_redis_is_away_is_counted_once_it_is_back(
    valkey: RedisServer, statistics: Statistics
) -> None:
    registry = CollectorRegistry()
    notes = Notes(statistics, registry)
    first, second, third = report(EDEMA), report({"Nodule": 1.0}), report({"Mass": 0.5})
    notes.add(first)
    valkey.kill()
    for new in (second, third):
        with pytest.raises(RedisUnavailableError):
            notes.count()
        notes.add(new)
    time.sleep(0.05)
    assert delay(registry) >= 0.05
    valkey.start()
    notes.count()
    notes.count()
    assert read(statistics) == {TODAY: total(map(of_report, (first, second, third)))}


def test_a_count_whose_answer_was_lost_is_not_made_twice(
    valkey: RedisServer, statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, once = Notes(statistics), report(EDEMA)
    count = statistics.count

    def losing(*arguments: object) -> None:
        count(*arguments)  # type: ignore[arg-type]
        raise RedisUnavailableError("the answer was lost")

    notes.add(once)
    monkeypatch.setattr(statistics, "count", losing)
    with pytest.raises(RedisUnavailableError):
        notes.count()
    monkeypatch.undo()
    notes.count()
    assert read(statistics) == {TODAY: of_report(once)}


def test_a_bundle_counts_once_whenever_it_comes_again(statistics: Statistics) -> None:
    tally = of_report(report(EDEMA))
    tried = [statistics.count("notes:a", number, TODAY, tally) for number in (1, 1, 2, 1, 10, 9)]
    assert tried == [True, False, True, False, True, False]
    assert statistics.count("notes:b", 1, TODAY, tally)
    assert read(statistics) == {TODAY: total([tally] * 4)}


def test_many_threads_that_note_while_others_count_equal_a_recount(statistics: Statistics) -> None:
    chance = random.Random(7)
    labels = ("Edema", "Mass", "No Finding")
    reports = [report({label: chance.random() for label in labels}) for _ in range(400)]
    notes = Notes(statistics)
    done = threading.Event()

    def counting() -> None:
        while not done.is_set():
            notes.count()

    with ThreadPoolExecutor(10) as pool:
        counters = [pool.submit(counting) for _ in range(2)]
        for added in [pool.submit(notes.add, each) for each in reports]:
            added.result()
        done.set()
        for counter in counters:
            counter.result()
    notes.count()
    assert read(statistics) == {TODAY: total(map(of_report, reports))}


def test_they_are_counted_by_themselves_and_when_it_ends(statistics: Statistics) -> None:
    notes, first, second = Notes(statistics), report(EDEMA), report({"Nodule": 1.0})
    notes.start()
    notes.add(first)
    eventually(lambda: read(statistics) == {TODAY: of_report(first)})
    notes.add(second)
    notes.stop()
    assert read(statistics) == {TODAY: total(map(of_report, (first, second)))}


def test_what_waits_takes_no_more_memory_the_more_it_is(
    valkey: RedisServer, statistics: Statistics
) -> None:
    notes = Notes(statistics)
    valkey.kill()
    for _ in range(50):
        notes.add(report(EDEMA))
        with pytest.raises(RedisUnavailableError):
            notes.count()
    assert len(notes._leaving) + len(notes._noted) <= 2


def test_what_can_not_be_counted_at_the_end_is_logged(
    valkey: RedisServer, statistics: Statistics, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes(statistics)
    notes.start()
    valkey.kill()
    notes.add(report(EDEMA))
    notes.stop()
    assert "analyses not counted" in caplog.messages


def test_nobody_waits_long_behind_a_count_that_hangs(
    statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.stats.notes._PATIENCE_SECONDS", 0.1)
    notes, once = Notes(statistics), report(EDEMA)
    hangs, goes_on = threading.Event(), threading.Event()
    count = statistics.count

    def hanging(*arguments: object) -> None:
        hangs.set()
        assert goes_on.wait(20)
        count(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(statistics, "count", hanging)
    notes.add(once)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(notes.count)
        assert hangs.wait(20)
        with pytest.raises(RedisUnavailableError, match="not answered"):
            notes.count()
        goes_on.set()
        first.result()
    assert read(statistics) == {TODAY: of_report(once)}
