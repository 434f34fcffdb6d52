"""Answer how often which label was found: as JSON, as CSV, or drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.routes.kinds import Parameter, refuse_unknown
from orchestrator.routes.negotiation import negotiate
from orchestrator.routes.periods import daily_period
from orchestrator.routes.queries import (
    DAYS,
    END,
    FORMAT,
    FORMATS,
    MODEL,
    START,
    VERSION,
    WEEKS,
)
from orchestrator.services import Services, services
from orchestrator.stats import plot, table
from orchestrator.stats.figures import ModelFilter, Series, series
from orchestrator.stats.periods import Period, each_day, last_days, last_weeks

_COMMON = (MODEL, VERSION, FORMAT)
_HEADERS = {"Vary": "Accept", "Cache-Control": "no-cache"}


@dataclass(frozen=True)
class _View:
    """What one of the paths takes, and how it shows a series."""

    name: str
    parameters: tuple[Parameter[Any], ...]
    as_json: Callable[[Series], Mapping[str, Any]]
    as_svg: Callable[[Series], str]


SUMMARY = _View("summary", _COMMON, table.summary_as_json, plot.plot_summary)
WEEKLY = _View(
    "weekly",
    (WEEKS, *_COMMON),
    table.weekly_as_json,
    partial(plot.plot_series, title="Positives by week"),
)
DAILY = _View(
    "daily",
    (START, END, DAYS, *_COMMON),
    table.daily_as_json,
    partial(plot.plot_series, title="Positives by day"),
)


async def summary(request: Request) -> Response:
    """Answer counts and means over all days that are kept."""
    statistics = services(request).statistics
    period = last_days(statistics.retention, statistics.today)
    return await _answer(request, SUMMARY, (period,))


async def weekly(request: Request) -> Response:
    """Answer counts and means per ISO week, the present one last."""
    count = WEEKS.read(request.query_params)
    return await _answer(request, WEEKLY, last_weeks(count, services(request).statistics.today))


async def daily(request: Request) -> Response:
    """Answer counts and means per UTC day."""
    period = daily_period(request.query_params, services(request).statistics.today)
    return await _answer(request, DAILY, each_day(period))


async def _answer(request: Request, view: _View, periods: Sequence[Period]) -> Response:
    here = services(request)
    refuse_unknown(request.query_params, view.parameters)
    media_type = _media_type(request)
    models = _models(request.query_params)
    found = await here.task_threads.run(partial(_read, here, periods, models))
    return _respond(view, found, media_type)


def _read(here: Services, periods: Sequence[Period], models: ModelFilter) -> Series:
    here.notes.count()  # so that whoever has an answer finds it counted
    days = here.statistics.read(Period(periods[0].start, periods[-1].end))
    return series(periods, days, models)


def _respond(view: _View, found: Series, media_type: str) -> Response:
    if media_type == "application/json":
        return JSONResponse(view.as_json(found), headers=_HEADERS)
    if media_type == "text/csv":
        name = {"Content-Disposition": f'attachment; filename="diseases_{view.name}.csv"'}
        return Response(table.as_csv(found), media_type=media_type, headers=_HEADERS | name)
    return Response(view.as_svg(found), media_type=media_type, headers=_HEADERS)


def _media_type(request: Request) -> str:
    """Return the media type that the parameter ``format`` asks for, or the header Accept."""
    chosen = FORMAT.read(request.query_params)
    if chosen is not None:
        return FORMATS[chosen]
    # Several lines are one (RFC 9110, section 5.3)
    accepted = ",".join(request.headers.getlist("accept"))
    return negotiate(accepted, tuple(FORMATS.values()))


def _models(query: QueryParams) -> ModelFilter:
    return ModelFilter(MODEL.read(query), VERSION.read(query))


ROUTES = [
    Route("/stats/diseases/summary", summary),
    Route("/stats/diseases/weekly", weekly),
    Route("/stats/diseases/daily", daily),
]
