"""Read which days a query asks for."""

from collections.abc import Mapping
from datetime import date, timedelta

from orchestrator.errors import ParameterError
from orchestrator.routes.queries import DAYS, DEFAULT_DAYS, END, MOST_DAYS, START
from orchestrator.stats.periods import Period, last_days


def daily_period(query: Mapping[str, str], today: date) -> Period:
    """Return the days that ``start`` and ``end`` or ``days`` ask for; the last month without them.

    Raises:
        ParameterError: They contradict each other, or are too many.
    """
    days, start, end = DAYS.read(query), START.read(query), END.read(query)
    if start is None:
        return last_days(days or DEFAULT_DAYS, end or today)
    if days is not None and end is not None:
        raise ParameterError("days: expected two of 'start', 'end' and 'days' at most, got all")
    if days is not None:
        return Period(start, start + timedelta(days=days - 1))
    return _between(start, end or today)


def _between(start: date, end: date) -> Period:
    if start > end:
        raise ParameterError(f"start: expected a date not after the end, {end}, got {start}")
    if (end - start).days >= MOST_DAYS:
        raise ParameterError(
            f"start: expected at most {MOST_DAYS} days until the end, {end}, got {start}"
        )
    return Period(start, end)
