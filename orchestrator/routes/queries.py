"""Name the parameters that queries of the statistics take."""

from typing import Final

from orchestrator.routes.kinds import Choice, IsoDate, Parameter, Text, WholeNumber

FORMATS: Final = {"json": "application/json", "csv": "text/csv", "svg": "image/svg+xml"}
MOST_DAYS: Final = 366
MOST_WEEKS: Final = 106
DEFAULT_DAYS: Final = 30
DEFAULT_WEEKS: Final = 12

WEEKS: Final = Parameter(
    "weeks",
    WholeNumber(1, MOST_WEEKS),
    "How many ISO weeks, the present one last.",
    DEFAULT_WEEKS,
)
DAYS: Final = Parameter[int | None](
    "days",
    WholeNumber(1, MOST_DAYS),
    f"How many days: from `start`, or until `end`; the last {DEFAULT_DAYS} without any of the three.",
    None,
)
START: Final = Parameter("start", IsoDate(), "First day, in UTC.", None, example="2026-11-01")
END: Final = Parameter("end", IsoDate(), "Last day, in UTC; today if absent.", None, "2026-11-30")
MODEL: Final = Parameter(
    "model", Text(), "Count only the analyses of the model of this name.", None, "densenet"
)
VERSION: Final = Parameter[int | None](
    "version", WholeNumber(0, 2**31), "Count only the analyses of this version of the model.", None
)
FORMAT: Final = Parameter[str | None](
    "format",
    Choice(tuple(FORMATS)),
    "What to answer; goes before the `Accept` header.",
    None,
)
