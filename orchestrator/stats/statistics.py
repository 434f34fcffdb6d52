"""Keep tallies in Redis, a hash per UTC day, and count every analysis once.

One script marks the analysis as counted and adds its numbers, both or neither; where it is marked already it does
nothing. So a report may be recorded as often as a job is tried. Bundles of analyses are numbered by who makes them, and
the number of the last that was counted is marked: what this takes does not grow with how many there are.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import redis

from orchestrator.redis_client import Script, translated
from orchestrator.stats.periods import Period, utc_day
from orchestrator.stats.tally import Cell, Tally, of_report
from orchestrator.study import Report

# Longer than any job is tried again.
_REMEMBERED_SECONDS: Final = 7 * 24 * 3600
# Tried again every second; an outage that begins while one is counted should end before this.
_BUNDLE_REMEMBERED_SECONDS: Final = 24 * 3600

# Defines count(first): ARGV[first] is the marker's key, then the day's key, the marker's TTL, the end of the day's
# hash (Unix time), and to the end of ARGV pairs of field and increment. For scripts that count among other things.
COUNT: Final = """
local function add(first)
  for i = first + 4, #ARGV, 2 do redis.call('HINCRBY', ARGV[first + 1], ARGV[i], ARGV[i + 1]) end
  redis.call('EXPIREAT', ARGV[first + 1], ARGV[first + 3])
  return 1
end
local function count(first)
  if not redis.call('SET', ARGV[first], '', 'NX', 'EX', ARGV[first + 2]) then return 0 end
  return add(first)
end
"""

# ARGV: the bundle's number, then as above.
_COUNT_BUNDLE: Final = (
    COUNT
    + """
if tonumber(redis.call('GET', ARGV[2]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', ARGV[2], ARGV[1], 'EX', ARGV[4])
return add(2)
"""
)


def _now() -> datetime:
    return datetime.now(UTC)


class Statistics:
    """Record reports and read what was recorded.

    Attributes:
        retention: Days that are kept, today included.
    """

    def __init__(
        self, client: "redis.Redis", retention: int, clock: Callable[[], datetime] = _now
    ) -> None:
        self.retention = retention
        self._client = client
        self._record = Script(client, f"{COUNT} return count(1)")
        self._count_bundle = Script(client, _COUNT_BUNDLE)
        self._clock = clock

    @property
    def today(self) -> date:
        """Return the present UTC day."""
        return utc_day(self._clock())

    def record(self, report: Report) -> bool:
        """Count an analysis unless it was counted before; return whether it was.

        Raises:
            RedisUnavailableError: It could not be counted, or it can't be told.
        """
        return bool(self._record([], self.arguments(report)))

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
        arguments = self._arguments(source, day, tally, _BUNDLE_REMEMBERED_SECONDS)
        return bool(self._count_bundle([], [number, *arguments]))

    def arguments(self, report: Report) -> list[str | int]:
        """Return what :data:`COUNT` takes for an analysis."""
        tally = of_report(report)
        return self._arguments(report.analysis_id, self.today, tally, _REMEMBERED_SECONDS)

    def _arguments(self, name: str, day: date, tally: Tally, remembered: int) -> list[str | int]:
        end = datetime.combine(day + timedelta(days=self.retention), time(), UTC)
        found: list[str | int] = [_marker(name), _key(day)]
        found += [remembered, int(end.timestamp())]
        for cell, number in tally.items():
            found += [cell.dumps(), number]
        return found

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

    def _kept(self, days: Sequence[date]) -> list[date]:
        """Leave out days that are not kept any more or have not begun: nothing is there to be asked for."""
        oldest = self.today - timedelta(days=self.retention - 1)
        newest = self.today + timedelta(days=1)  # another server's clock may be ahead
        return [day for day in days if oldest <= day <= newest]


def _marker(name: str) -> str:
    return f"cxr:stats:counted:{name}"


def _key(day: date) -> str:
    return f"cxr:stats:day:{day.isoformat()}"
