"""Write series as plain JSON values and as CSV."""

import csv
import io
from typing import Final

from orchestrator.answers import (
    CountedDay,
    CountedLabel,
    CountedModel,
    CountedPeriod,
    CountedWeek,
    DailyAnswer,
    SeriesSpan,
    SummaryAnswer,
    WeeklyAnswer,
)
from orchestrator.stats.figures import PeriodFigures, Series

_COLUMNS: Final = ("period", "start", "end", "label", "analyses", "positives", "mean_probability")


def daily_as_json(series: Series) -> DailyAnswer:
    """Return a series of days."""
    days: list[CountedDay] = [{"date": each.period.name, **_entry(each)} for each in series.periods]
    return {**_span(series), "days": days}


def weekly_as_json(series: Series) -> WeeklyAnswer:
    """Return a series of ISO weeks."""
    weeks: list[CountedWeek] = [
        {"week": each.period.name, **_entry(each)} for each in series.periods
    ]
    return {**_span(series), "weeks": weeks}


def summary_as_json(series: Series) -> SummaryAnswer:
    """Return the only period of a series."""
    (only,) = series.periods
    return {"timezone": "UTC", **_entry(only), "models": _models(series)}


def as_csv(series: Series) -> str:
    """Return a line per period and label, under a line of names."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for each in series.periods:
        period = each.period
        for label in each.labels:
            mean = "" if label.mean_probability is None else label.mean_probability
            numbers = (label.analyses, label.positives, mean)
            table.writerow((period.name, period.start, period.end, label.label, *numbers))
    return text.getvalue()


def _entry(figures: PeriodFigures) -> CountedPeriod:
    labels: list[CountedLabel] = [
        {
            "label": each.label,
            "analyses": each.analyses,
            "positives": each.positives,
            "mean_probability": each.mean_probability,
        }
        for each in figures.labels
    ]
    start, end = figures.period.start.isoformat(), figures.period.end.isoformat()
    return {"start": start, "end": end, "analyses": figures.analyses, "labels": labels}


def _span(series: Series) -> SeriesSpan:
    return {
        "timezone": "UTC",
        "start": series.whole.start.isoformat(),
        "end": series.whole.end.isoformat(),
        "models": _models(series),
    }


def _models(series: Series) -> list[CountedModel]:
    return [
        {"name": each.name, "version": each.version, "analyses": each.analyses}
        for each in series.models
    ]
