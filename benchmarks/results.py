"""Keep what was measured as JSON, part by part, so that one part can be measured anew."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.machine import Machine

RESULTS: Final = Path("benchmarks") / "results.json"


@dataclass(frozen=True)
class Part:
    """What one part of a run gave.

    Attributes:
        date: Day of the run, ISO 8601.
        seconds: How long it took.
        machine: What it ran on.
        figures: What it found.
    """

    date: str
    seconds: float
    machine: Machine
    figures: Sequence[Figure]


def read(path: Path) -> dict[str, Part]:
    """Read the parts by name; none if nothing was measured yet."""
    if not path.exists():
        return {}
    return {name: _part(fields) for name, fields in json.loads(path.read_text("utf-8")).items()}


def merge(path: Path, name: str, part: Part) -> None:
    """Put a part in the place of the same one of an earlier run; the others stay."""
    parts = read(path) | {name: part}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {each: _plain(asdict(found)) for each, found in parts.items()},
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )
    path.write_text(text + "\n", "utf-8")


def missed(parts: dict[str, Part]) -> list[Figure]:
    """Return the figures that fall short of their bounds."""
    return [figure for part in parts.values() for figure in part.figures if not figure.holds]


def _part(fields: dict[str, Any]) -> Part:
    figures = [_figure(figure) for figure in fields["figures"]]
    return Part(fields["date"], fields["seconds"], Machine(**fields["machine"]), figures)


def _figure(fields: dict[str, Any]) -> Figure:
    value = fields["value"]
    return Figure(**{**fields, "value": math.nan if value is None else value})


def _plain(value: Any) -> Any:
    """Leave out what is not set, round to what can be told apart, and write what is not a number as null."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if each not in (None, "")}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.5g}")
    return value
