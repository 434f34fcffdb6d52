"""Draw dashboards of monitoring/grafana from a real Prometheus: a look at panels and queries without Grafana.

It draws what Grafana is told to draw, in a plainer way: series, single values, bars, their units and thresholds.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from PIL import Image, ImageDraw, ImageFont

DASHBOARDS: Final = Path(__file__).parents[2] / "monitoring" / "grafana" / "dashboards"
_COLUMN, _ROW, _HEAD, _GAP = 60, 30, 34, 4
_DAY: Final = 86400
_COLOURS: Final = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"),
    *("#bcbd22", "#17becf", "#1b4f72", "#a04000", "#145a32", "#78281f", "#4a235a"),
)
# Grafana's names of colours, as they are to be read on white.
_NAMED: Final = {
    "red": "#c4162a",
    "orange": "#d9730d",
    "green": "#2a7a2a",
    "blue": "#3274d9",
    "transparent": "#ffffff",
}
_INK, _FAINT, _GRID = "#222222", "#777777", "#e8e8e8"
_BIG: Final = ImageFont.load_default(24)
_FONT: Final = ImageFont.load_default(13)
_SMALL: Final = ImageFont.load_default(11)
Box = tuple[float, float, float, float]
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class View:
    """What is looked at, and how.

    Attributes:
        client: A client of Prometheus.
        end: The last moment, in seconds since 1970.
        span: Seconds before it.
        interval: What ``$__rate_interval`` stands for.
    """

    client: httpx.Client
    end: float
    span: int
    interval: str

    @property
    def step(self) -> int:
        """Return the seconds from one point to the next."""
        return max(1, self.span // 240)

    def ask(self, target: Any) -> list[tuple[str, Points]]:
        """Return the series that a target gives, by their legends."""
        query = target["expr"].replace("$__rate_interval", self.interval).replace("$label", ".*")
        start = self.end if target["instant"] else self.end - self.span
        window = {"start": start, "end": self.end, "step": self.step}
        answer = self.client.get("/api/v1/query_range", params={"query": query, **window})
        answer.raise_for_status()
        found = answer.json()["data"]["result"]
        if target.get("format") == "heatmap":
            return apart(found)
        return [(_legend(target, each["metric"]), _numbers(each["values"])) for each in found]


def draw(dashboard: Any, view: View, note: str) -> Image.Image:
    """Return the picture of a dashboard, with a note at its head."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    picture = Image.new("RGB", (24 * _COLUMN, height * _ROW + _HEAD), "white")
    pen = ImageDraw.Draw(picture)
    pen.text((10, 8), f"{dashboard['title']}: {note}", _INK, _FONT)
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * _COLUMN + _GAP, place["y"] * _ROW + _HEAD
        right, bottom = left + place["w"] * _COLUMN - 2 * _GAP, top + place["h"] * _ROW - 2 * _GAP
        pen.rectangle((left, top, right, bottom), outline="#cccccc")
        pen.text((left + 8, top + 5), panel["title"], _INK, _FONT)
        inside = (left + 8, top + 26, right - 8, bottom - 6)
        _PAINTERS[panel["type"]](pen, inside, panel, view)
    return picture.quantize(128)


def read(name: str) -> Any:
    """Return a dashboard by its name."""
    return json.loads((DASHBOARDS / f"{name}.json").read_text())


def worded(value: float, unit: str) -> str:
    """Return a value in its unit, short."""
    if math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit in _SCALES:
        return _scaled(value, _SCALES[unit])
    number = f"{value:.0f}" if value == int(value) else f"{value:.3g}"
    return f"{number} {_RATES[unit]}".strip()


_SCALES: Final = {
    "s": ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms")),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
}
_RATES: Final = {"none": "", "reqps": "req/s", "ops": "/s"}


def _scaled(value: float, scales: Sequence[tuple[float, str]]) -> str:
    for size, name in scales:
        if abs(value) >= size:
            number = value / size
            return f"{number:.3g} {name}" if abs(number) < 1000 else f"{number:.0f} {name}"
    return f"{value / scales[-1][0]:.3g} {scales[-1][1]}"


def _numbers(values: list[Any]) -> Points:
    return [(moment, float(value)) for moment, value in values if value not in ("NaN", "+Inf")]


def _legend(target: Any, labels: dict[str, str]) -> str:
    text: str = target["legendFormat"]
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def apart(found: list[Any]) -> list[tuple[str, Points]]:
    """Return what each bucket has that the one below has not, as Grafana's format `heatmap` does."""
    ordered = sorted(found, key=lambda each: float(each["metric"]["le"]))
    totals = [_numbers(each["values"])[-1] for each in ordered]
    below = [0.0, *(value for _, value in totals)]
    return [
        (each["metric"]["le"], [(moment, value - under)])
        for each, (moment, value), under in zip(ordered, totals, below, strict=False)
    ]


@dataclass(frozen=True)
class Scale:
    """Where in a picture a moment and a value lie."""

    box: Box
    low: float
    high: float
    view: View

    def x(self, moment: float) -> float:
        """Return the column of a moment."""
        left, _, right, _ = self.box
        return right - (self.view.end - moment) / self.view.span * (right - left)

    def y(self, value: float) -> float:
        """Return the row of a value."""
        _, top, _, bottom = self.box
        return bottom - (value - self.low) / (self.high - self.low) * (bottom - top)


def _timeseries(pen: ImageDraw.ImageDraw, box: Box, panel: Any, view: View) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    series = [each for target in panel["targets"] for each in view.ask(target)]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    if stacked:
        series = stacked_up(series)
    lines = [
        each
        for each in defaults.get("thresholds", {}).get("steps", [])
        if each["value"] is not None
    ]
    values = [value for _, points in series for _, value in points]
    bounds = _bounds([*values, *(each["value"] for each in lines)], defaults)
    rows = min(4, math.ceil(len(series) / 3))
    inside = (box[0] + 62, box[1], box[2] - 4, box[3] - 18 - 14 * rows)
    scale = Scale(inside, *bounds, view)
    _axes(pen, scale, defaults["unit"])
    if not series:
        middle = ((inside[0] + inside[2]) / 2, (inside[1] + inside[3]) / 2)
        pen.text(middle, "no data", _FAINT, _FONT, anchor="mm")
    for number, (_, points) in reversed(list(enumerate(series))):
        for run in _runs(points, view.step):
            _line(pen, scale, run, _COLOURS[number % len(_COLOURS)], filled=stacked)
    for each in lines:
        _dashes(pen, scale, each["value"], _NAMED[_line_colour(each, lines)])
    _legends(pen, (box[0], inside[3] + 18, box[2], box[3]), [name for name, _ in series], rows)


def _line_colour(step: Any, lines: list[Any]) -> str:
    """Return a threshold's colour: that of the side which is not good."""
    if step["color"] != "transparent":
        return str(step["color"])
    return next((str(each["color"]) for each in lines if each["color"] != "transparent"), "red")


def _line(
    pen: ImageDraw.ImageDraw, scale: Scale, points: Points, colour: str, *, filled: bool
) -> None:
    line = [(scale.x(moment), scale.y(value)) for moment, value in points]
    if filled:
        floor = scale.box[3]
        pen.polygon([(line[0][0], floor), *line, (line[-1][0], floor)], _lighter(colour), colour)
    elif len(line) > 1:
        pen.line(line, colour, 2)
    else:
        (x, y) = line[0]
        pen.ellipse((x - 1, y - 1, x + 1, y + 1), colour)


def _bounds(values: list[float], defaults: Any) -> tuple[float, float]:
    low = min([defaults.get("min", 0.0), *values])
    high = max(values, default=1.0) * 1.05 or 1.0
    return low, min(high, defaults.get("max", high)) if high > 0 else 1.0


def stacked_up(series: list[tuple[str, Points]]) -> list[tuple[str, Points]]:
    below: dict[float, float] = {}
    found = []
    for name, points in series:
        raised = []
        for moment, value in points:
            below[moment] = below.get(moment, 0.0) + value
            raised.append((moment, below[moment]))
        found.append((name, raised))
    return found


def _runs(points: Points, step: int) -> list[Points]:
    """Split a series where it has a gap."""
    runs: list[Points] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= 1.5 * step:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _axes(pen: ImageDraw.ImageDraw, scale: Scale, unit: str) -> None:
    left, _, right, bottom = scale.box
    for value in ticks(scale.low, scale.high, unit):
        y = scale.y(value)
        pen.line((left, y, right, y), _GRID)
        pen.text((left - 6, y), worded(value, unit), _FAINT, _SMALL, anchor="rm")
    pattern = "%d %b" if scale.view.span > 2 * _DAY else "%H:%M:%S"
    for part in (0.0, 0.25, 0.5, 0.75):
        moment = scale.view.end - (1 - part) * scale.view.span
        text = datetime.fromtimestamp(moment, UTC).strftime(pattern)
        pen.text((scale.x(moment), bottom + 3), text, _FAINT, _SMALL)


def ticks(low: float, high: float, unit: str = "none") -> list[float]:
    """Return values between two others that are round in their unit, some three to six of them."""
    size = next((each for each, _ in _SCALES.get(unit, ()) if each <= high), 1.0)
    rough = (high - low) / size / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    first, last = math.ceil(low / size / step), math.floor(high / size / step)
    return [round(number * step, 12) * size for number in range(first, last + 1)]


def _dashes(pen: ImageDraw.ImageDraw, scale: Scale, value: float, colour: str) -> None:
    left, _, right, _ = scale.box
    for x in range(int(left), int(right), 10):
        pen.line((x, scale.y(value), x + 5, scale.y(value)), colour)


def _legends(pen: ImageDraw.ImageDraw, box: Box, names: list[str], rows: int) -> None:
    width = (box[2] - box[0]) / 3
    shown = names if len(names) <= 3 * rows else names[: 3 * rows - 1]
    for number, name in enumerate(shown):
        x, y = box[0] + (number % 3) * width, box[1] + 14 * (number // 3)
        pen.rectangle((x, y + 3, x + 8, y + 8), _COLOURS[number % len(_COLOURS)])
        pen.text((x + 12, y), _fitting(pen, name, width - 16), _INK, _SMALL)
    if len(shown) < len(names):
        place = (box[0] + 2 * width, box[1] + 14 * (rows - 1))
        pen.text(place, f"and {len(names) - len(shown)} more", _FAINT, _SMALL)


def _fitting(pen: ImageDraw.ImageDraw, text: str, width: float) -> str:
    while pen.textlength(text, _SMALL) > width:
        text = text[:-2] + "…"
    return text


def _stat(pen: ImageDraw.ImageDraw, box: Box, panel: Any, view: View) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    found = [each for target in panel["targets"] for each in view.ask(target)]
    if not found:
        pen.text((box[0], box[1] + 14), "no data", _FAINT, _BIG)
    share = (box[2] - box[0]) / max(1, len(found))
    for number, (name, points) in enumerate(found):
        text, colour = _shown(points[-1][1], defaults)
        x = box[0] + number * share
        if panel["options"]["textMode"] == "name":
            pen.text((x, box[1] + 12), name, colour, _BIG)
        else:
            pen.text((x, box[1] + 12), text, colour, _BIG)
            pen.text((x, box[1] + 46), _fitting(pen, name, share - 6), _INK, _SMALL)


def _shown(value: float, defaults: Any) -> tuple[str, str]:
    """Return the text and the colour of a single value, by mappings and thresholds."""
    for mapping in defaults.get("mappings", []):
        option = mapping["options"].get(f"{value:.0f}")
        if option:
            return option["text"], _NAMED[option["color"]]
    text = f"{value:.0f}" if defaults.get("decimals") == 0 else worded(value, defaults["unit"])
    return text, _colour(value, defaults)


def _colour(value: float, defaults: Any) -> str:
    colour = "green"
    for each in defaults.get("thresholds", {}).get("steps", []):
        if each["value"] is None or value >= each["value"]:
            colour = each["color"]
    return _NAMED[colour]


def _bargauge(pen: ImageDraw.ImageDraw, box: Box, panel: Any, view: View) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    found = [
        (name, points[-1][1])
        for target in panel["targets"]
        for name, points in view.ask(target)
        if points
    ]
    high = defaults.get("max", max((value for _, value in found), default=1.0)) or 1.0
    if not found:
        pen.text((box[0], box[1] + 14), "no data", _FAINT, _FONT)
    for number, (name, value) in enumerate(found):
        text, colour = _shown(value, defaults)
        if panel["options"]["orientation"] == "horizontal":
            height = (box[3] - box[1]) / len(found)
            y, left, right = box[1] + number * height, box[0] + 130, box[2] - 60
            pen.text((left - 8, y + height / 2), name, _INK, _SMALL, anchor="rm")
            pen.rectangle((left, y + 2, right, y + height - 2), _GRID)
            pen.rectangle(
                (left, y + 2, left + value / high * (right - left), y + height - 2), colour
            )
            pen.text((right + 6, y + height / 2), text, _INK, _SMALL, anchor="lm")
        else:
            width = (box[2] - box[0]) / len(found)
            x, top, bottom = box[0] + number * width, box[1] + 16, box[3] - 18
            pen.rectangle((x + 2, top, x + width - 2, bottom), _GRID)
            height = value / high * (bottom - top)
            pen.rectangle((x + 2, bottom - height, x + width - 2, bottom), colour)
            pen.text((x + width / 2, top - 8), text, _INK, _SMALL, anchor="mm")
            pen.text((x + width / 2, bottom + 9), name, _INK, _SMALL, anchor="mm")


def _lighter(colour: str) -> str:
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{(part + 2 * 255) // 3:02x}" for part in parts)


_PAINTERS: Final = {"timeseries": _timeseries, "stat": _stat, "bargauge": _bargauge}
