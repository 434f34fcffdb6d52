"""Hold measured figures, compare them with their bounds, and print them as lines."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: What was measured, and how.
        value: The median; not a number where it could not be measured.
        unit: Its unit; empty for a ratio or a count.
        bound: The most it may be, or None where it is only shown.
        least: The least it may be, for what is better the higher it is.
        low: The lowest of the rounds; None where there was one only.
        high: The highest of them.
        note: Why it could not be measured, or what else a reader should know.
    """

    name: str
    value: float
    unit: str = ""
    bound: float | None = None
    least: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        rounds: Sequence[float],
        unit: str = "",
        *,
        bound: float | None = None,
        least: float | None = None,
    ) -> "Figure":
        """Make a figure of what the rounds gave: their median, the lowest and the highest."""
        return cls(name, statistics.median(rounds), unit, bound, least, *_ends(rounds))

    @property
    def holds(self) -> bool:
        """Tell whether the figure keeps its bound; one that could not be measured keeps none."""
        if self.least is not None and not self.value >= self.least:
            return False
        return self.bound is None or self.value <= self.bound

    @property
    def limit(self) -> str:
        """Return the bound in words; empty if there is none."""
        if self.least is not None:
            return f"≥ {self.least:g}"
        return "" if self.bound is None else f"≤ {self.bound:g}"

    @property
    def median(self) -> str:
        """Return the value with its unit."""
        if math.isnan(self.value):
            return "not measured"
        return f"{number(self.value)} {self.unit}".rstrip()

    @property
    def spread(self) -> str:
        """Return the lowest and the highest of the rounds; empty if there was one only."""
        if self.low is None or self.high is None:
            return ""
        return f"{number(self.low)}–{number(self.high)}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(share * len(ordered), 6)) - 1)]


def ratio(
    name: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    bound: float | None = None,
    least: float | None = None,
) -> Figure:
    """Make a figure of the ratios, round by round."""
    rounds = [a / b for a, b in zip(above, below, strict=True)]
    return Figure.of(name, rounds, bound=bound, least=least)


def number(value: float) -> str:
    """Write a number with three digits that count, and no more of them than it has."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    rounded = float(f"{value:.3g}")  # 0.9996 has as many digits as 1
    digits = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{value:.{digits}f}"


def lines(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of a table."""
    width = max(len(figure.name) for figure in figures)
    return "\n".join(_line(figure, width) for figure in figures)


def _line(figure: Figure, width: int) -> str:
    limit = figure.limit if figure.holds else f"{figure.limit}  FALLS SHORT"
    cells = f"{figure.name:<{width}}  {figure.median:>12}  {figure.spread:>15}  {limit}"
    return f"{cells}  {figure.note}".rstrip()


def _ends(rounds: Sequence[float]) -> tuple[float | None, float | None]:
    return (min(rounds), max(rounds)) if len(rounds) > 1 else (None, None)
