"""Keep tallies in Redis, a hash per UTC day, and count every analysis once.

A task's analysis is added by the script that ends the task, which does so once. Bundles of other analyses are numbered
by who makes them, and the script that adds one marks its number, both or neither: where that or a later one is marked
already it does nothing. What this takes does not grow with how many analyses there are.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import redis

from orchestrator.redis_client import Script, translated
from orchestrator.stats.periods import Period, last_days, utc_day
from orchestrator.stats.tally import Cell, Tally, of_report
from orchestrator.study import Report

# Tried again every second; an outage that begins while one is counted should end before this.
_BUNDLE_REMEMBERED_SECONDS: Final = 24 * 3600

# Defines count(first): ARGV[first] is the day's key, then the end of the day's hash (Unix time), and to the end of ARGV
# pairs of field and increment. For scripts that count among other things.
COUNT: Final = """
local function count(first)
  for i = first + 2, #ARGV, 2 do redis.call('HINCRBY', ARGV[first], ARGV[i], ARGV[i + 1]) end
  redis.call('EXPIREAT', ARGV[first], ARGV[first + 1])
end
"""

# ARGV: the bundle's number, its maker's mark, the mark's TTL, then as above.
_COUNT_BUNDLE: Final = (
    COUNT
    + """
if tonumber(redis.call('GET', ARGV[2]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', ARGV[2], ARGV[1], 'EX', ARGV[3])
count(4)
return 1
"""
)


def _now() -> datetime:
    return datetime.now(UTC)


class Statistics:
    """Count analyses and read what was counted.

    Attributes:
        retention: Days that are kept, today included.
    """

    def __init__(
        self, client: redis.Redis, retention: int, clock: Callable[[], datetime] = _now
    ) -> None:
        self.retention = retention
        self._client = client
        self._count_bundle = Script(client, _COUNT_BUNDLE)
        self._clock = clock

    @property
    def today(self) -> date:
        """Return the present UTC day."""
        return utc_day(self._clock())

    def count(self, source: str, number: int, day: date, tally: Tally) -> bool:
        """Count a bundle of analyses unless it or a later one was counted before; return whether it was.

        Args:
            source: Who makes bundles, and has them counted in the order of their numbers.
            number: The bundle's, from 1.
            day: The day that its analyses belong to.
            tally: Their sum.

        Raises:
            RedisUnavailableError: They could not be counted, or it can't be told.
        """
        mark = [number, f"cxr:stats:counted:{source}", _BUNDLE_REMEMBERED_SECONDS]
        return bool(self._count_bundle([], [*mark, *self._arguments(day, tally)]))

    def arguments(self, report: Report) -> list[str | int]:
        """Return what :data:`COUNT` takes for an analysis."""
        return self._arguments(self.today, of_report(report))

    def _arguments(self, day: date, tally: Tally) -> list[str | int]:
        found: list[str | int] = [_key(day), self._end(day)]
        for cell, number in tally.items():
            found += [cell.dumps(), number]
        return found

    def keep(self) -> None:
        """Keep days that were counted under a shorter retention as long as others.

        Raises:
            RedisUnavailableError: They can't be kept now.
        """
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for day in last_days(self.retention, self.today).days:
                pipe.expireat(_key(day), self._end(day), gt=True)
            pipe.execute()

    def read(self, period: Period) -> dict[date, Tally]:
        """Return the tally of every day of a period that has one.

        Raises:
            RedisUnavailableError: They can't be read now.
        """
        days = self._kept(period.days)
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for day in days:
                pipe.hgetall(_key(day))
            hashes = pipe.execute()
        return {
            day: {Cell.loads(field): int(count) for field, count in found.items()}
            for day, found in zip(days, hashes, strict=True)
            if found
        }

    def _end(self, day: date) -> int:
        """Return the moment (Unix time) at which a day is kept no more."""
        end = datetime.combine(day + timedelta(days=self.retention), time(), UTC)
        return int(end.timestamp())

    def _kept(self, days: Sequence[date]) -> list[date]:
        """Leave out days that are not kept any more or have not begun: nothing is there to be asked for."""
        oldest = self.today - timedelta(days=self.retention - 1)
        newest = self.today + timedelta(days=1)  # another server's clock may be ahead
        return [day for day in days if oldest <= day <= newest]


def _key(day: date) -> str:
    return f"cxr:stats:day:{day.isoformat()}"
