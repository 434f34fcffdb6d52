"""The sliding window, reckoned by hand, on a real Redis and with a clock that the test moves."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest

from orchestrator.limiter import Limiter, Standing, missed_counter
from orchestrator.redis_client import connect_async
from tests.support.redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


PATIENT = 10.0  # seconds, in which Redis answers on a busy machine as well


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def play(
    url: str,
    rate: str,
    scene: Callable[[Limiter, Clock], Awaitable[None]],
    patience: float = PATIENT,
) -> float:
    """Run a scene that begins with a window; return how many requests were let through uncounted."""
    missed = missed_counter()

    async def run() -> None:
        pool = connect_async(url, 10, patience)
        clock = Clock(1_800_000_000.0)
        try:
            await scene(Limiter("test", rate, pool, missed, clock), clock)
        finally:
            await pool.aclose()

    anyio.run(run)
    return float(missed._value.get())


@pytest.fixture(autouse=True)
def _empty(server: RedisServer) -> None:
    with server.client() as client:
        client.flushall()


def test_as_many_as_are_allowed_are_let_through_and_told_how_they_stand(
    server: RedisServer,
) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        clock.now += 12.5
        found = [await limiter.hit("a") for _ in range(4)]
        assert found == [
            Standing(3, 2, 48),
            Standing(3, 1, 48),
            Standing(3, 0, 48),
            # 47.5 s until the next window; then a third of it, until one of three has gone
            Standing(3, 0, 48, retry_after=68),
        ]
        fifth = await limiter.hit("a")
        assert fifth == Standing(3, 0, 48, retry_after=68)
        assert not fifth.allowed
        assert await limiter.hit("b") == Standing(3, 2, 48)  # each caller has its own

    assert play(server.url, "3/minute", scene) == 0


def test_the_window_before_counts_by_what_is_left_of_it(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        for _ in range(8):
            await limiter.hit("a")
        clock.now += 75  # a quarter into the next window: 8 × 3/4 = 6 are left
        await limiter.charge("a", 3)
        assert await limiter.hit("a") == Standing(10, 0, 45)
        # a fifth fits beside 8 × (1 - f) <= 5 at f = 3/8 of the window, 7.5 s from now
        assert await limiter.hit("a") == Standing(10, 0, 45, retry_after=8)
        clock.now += 8
        assert await limiter.hit("a") == Standing(10, 0, 37)

    assert play(server.url, "10/minute", scene) == 0


def test_a_request_that_is_counted_as_its_window_ends_leaves_the_next_one_right(
    server: RedisServer,
) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        pool = connect_async(server.url, 10, PATIENT)
        other = Limiter("test", "10/minute", pool, missed_counter(), clock)
        begin = clock.now
        for window in range(0, 1200, 120):  # again and again, as it is a matter of order
            clock.now = begin + window
            await other.charge("a", 7)

            async def hit(now: float, caller: str) -> None:
                clock.now = now
                await limiter.hit(caller)

            async with anyio.create_task_group() as both:
                both.start_soon(hit, clock.now + 59, "a")
                both.start_soon(hit, clock.now + 60, "b")
            assert clock.now == begin + window + 60
            assert await limiter.hit("a") == Standing(10, 1, 60)  # beside the eight before
        await pool.aclose()

    assert play(server.url, "10/minute", scene) == 0


def test_whoever_obeys_is_served_again(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        served = 0
        begin = clock.now
        while clock.now < begin + 600:
            standing = await limiter.hit("a")
            assert standing is not None
            served += standing.allowed
            clock.now += max(standing.retry_after, 0.1)
        assert 90 <= served <= 110  # ten minutes of 10 a minute

    assert play(server.url, "10/minute", scene) == 0


def test_no_minute_has_twice_as_many(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        clock.now += 59
        first = [(await limiter.hit("a")).allowed for _ in range(10)]  # type: ignore[union-attr]
        clock.now += 2
        second = [(await limiter.hit("a")).allowed for _ in range(10)]  # type: ignore[union-attr]
        assert sum(first) == 10
        assert sum(second) == 0

    assert play(server.url, "10/minute", scene) == 0


def test_what_is_counted_ends(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        await limiter.charge("a", 5)
        await limiter.hit("a")
        clock.now += 60
        await limiter.charge("a", 2)

    assert play(server.url, "3/minute", scene) == 0
    with server.client() as client:
        found = {key.decode(): client.ttl(key) for key in client.scan_iter()}
    assert len(found) == 2, found
    assert all(name.startswith("cxr:limit") for name in found)
    assert all(0 < ttl <= 120 for ttl in found.values())


def test_a_window_is_kept_until_the_next_one_has_ended(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        await limiter.hit("a")

    assert play(server.url, "3/minute", scene) == 0
    with server.client() as client:
        (key,) = client.keys("cxr:limit*")
        assert 110 < client.ttl(key) <= 120


def test_no_more_is_remembered_than_the_window_before(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        for _ in range(3):
            await limiter.hit("a")
            await limiter.hit("b")
            assert len(limiter._before) == 2
            clock.now += 60

    assert play(server.url, "3/minute", scene) == 0


def test_two_processes_count_together(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        pool = connect_async(server.url, 10, PATIENT)
        other = Limiter("test", "3/minute", pool, missed_counter(), clock)
        assert await limiter.hit("a") == Standing(3, 2, 60)
        assert await other.hit("a") == Standing(3, 1, 60)
        assert await limiter.hit("a") == Standing(3, 0, 60)
        await pool.aclose()

    assert play(server.url, "3/minute", scene) == 0


def test_as_many_as_may_be_connected_are_counted_at_once(server: RedisServer) -> None:
    missed = missed_counter()

    async def ask() -> None:
        pool = connect_async(server.url, 150, PATIENT)
        limiter = Limiter("crowd", "1000/day", pool, missed)
        async with anyio.create_task_group() as group:
            for _ in range(150):
                group.start_soon(limiter.hit, "caller")
        await pool.aclose()

    anyio.run(ask)
    ((counted, *_),) = [metric.samples for metric in missed.collect()]
    assert counted.value == 0


def test_without_redis_everybody_is_let_through(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        assert [await limiter.hit("a") for _ in range(3)] == [None, None, None]

    assert play("redis://127.0.0.1:1/0", "1/minute", scene) == 3
    assert [record.getMessage() for record in caplog.records] == ["rate limits pause"]


def test_after_one_answer_that_is_late_callers_are_soon_counted_again(server: RedisServer) -> None:
    async def scene(limiter: Limiter, clock: Clock) -> None:
        with server.hanging():
            assert [await limiter.hit("a") for _ in range(3)] == [None, None, None]
        for _ in range(30):
            await anyio.sleep(0.1)
            last = await limiter.hit("a")
        assert last is not None

    assert play(server.url, "10/minute", scene, patience=0.5) < 3 + 30


def test_it_costs_one_round_trip(server: RedisServer, tmp_path: Path) -> None:
    def commands() -> int:
        with server.client() as client:
            return int(client.info("commandstats")["cmdstat_evalsha"]["calls"]) + int(
                client.info("commandstats").get("cmdstat_get", {}).get("calls", 0)
            )

    async def scene(limiter: Limiter, clock: Clock) -> None:
        await limiter.hit("a")
        before = commands()
        for _ in range(50):
            await limiter.hit("a")
        assert commands() - before == 50

    assert play(server.url, "1000/minute", scene) == 0
