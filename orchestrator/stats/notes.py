"""Note analyses whose callers are waiting, and count them a second later, all together.

One by one they would cost a thirtieth of a request's processor time, and its caller would wait for Redis.
"""

import itertools
import logging
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from orchestrator.errors import RedisUnavailableError
from orchestrator.periodic import PeriodicThread
from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import Cell, of_report
from orchestrator.study import Report

_log = logging.getLogger(__name__)

# Who finds another counting waits this long: where Redis hangs, that one waits for it, and nobody behind it need.
_PATIENCE_SECONDS: Final = 2.0
_RETRY_AFTER: Final = 5
_DELAY: Final = (
    "cxr_statistics_delay_seconds",
    "How long the oldest analysis that the statistics don't count yet has been waiting.",
)


@dataclass(frozen=True)
class _Bundle:
    """What is counted at once.

    Attributes:
        number: Its own, so that what is tried again is counted once; the later, the larger.
        day: The day that it belongs to.
        begun: When its first analysis was noted.
        tally: The sum of its analyses.
    """

    number: int
    day: date
    begun: float
    tally: Counter[Cell] = field(default_factory=Counter)


class Notes:
    """Hold analyses until they are counted: for a second, or until Redis is back.

    What they take in memory does not grow with their number. A process that is killed takes them with it.

    Args:
        statistics: Counts them.
        registry: Shows how long the oldest has waited.
    """

    def __init__(self, statistics: Statistics, registry: CollectorRegistry | None = None) -> None:
        self._statistics = statistics
        self._source = f"notes:{uuid.uuid4()}"
        self._numbers = itertools.count(1)
        self._noted: dict[date, _Bundle] = {}
        self._leaving: list[_Bundle] = []
        self._noting = threading.Lock()
        self._counting = threading.Lock()
        self._thread = PeriodicThread("statistics", self.count)
        Gauge(*_DELAY, registry=registry).set_function(self._delay)

    def add(self, report: Report) -> None:
        """Note an analysis."""
        tally, day = of_report(report), self._statistics.today
        with self._noting:
            if day not in self._noted:
                self._noted[day] = _Bundle(next(self._numbers), day, monotonic())
            self._noted[day].tally.update(tally)

    def count(self) -> None:
        """Count what has been noted so far.

        Raises:
            RedisUnavailableError: It can't be counted now, or it can't be told whether it was; it stays noted.
        """
        if not self._counting.acquire(timeout=_PATIENCE_SECONDS):
            raise RedisUnavailableError(
                "Redis has not answered for seconds; try again later", retry_after=_RETRY_AFTER
            )
        try:
            self._count_leaving()  # where it failed before, these go under the numbers that they had
            with self._noting:
                self._leaving, self._noted = list(self._noted.values()), {}
            self._count_leaving()
        finally:
            self._counting.release()

    def start(self) -> None:
        """Begin to count every second."""
        self._thread.start()

    def stop(self) -> None:
        """Count what is left, and end; what can't be counted now is lost."""
        self._thread.stop()
        try:
            self.count()
        except RedisUnavailableError as err:
            _log.warning("analyses not counted", extra={"error": err.code})

    def _delay(self) -> float:
        with self._noting:
            begun = [bundle.begun for bundle in (*self._leaving, *self._noted.values())]
        return monotonic() - min(begun) if begun else 0.0

    def _count_leaving(self) -> None:
        while self._leaving:
            bundle = self._leaving[0]
            self._statistics.count(self._source, bundle.number, bundle.day, bundle.tally)
            with self._noting:
                del self._leaving[0]
