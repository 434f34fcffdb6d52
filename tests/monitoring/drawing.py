"""Draw the panels of monitoring/grafana/dashboards from a real Prometheus: a look at the queries without Grafana.

    python -m benchmarks.dashboards http://127.0.0.1:9090 FOLDER [SECONDS]

It draws what Grafana is told to draw, in a plainer way: lines for time series, texts for single values.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw, ImageFont

DASHBOARDS = Path(__file__).parents[1] / "monitoring" / "grafana" / "dashboards"
COLUMN, ROW = 60, 34
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
FONT = ImageFont.load_default(13)
SMALL = ImageFont.load_default(11)


def main() -> None:
    """Draw every dashboard into a folder."""
    address, folder, span = sys.argv[1], Path(sys.argv[2]), int([*sys.argv, "600"][3])
    folder.mkdir(parents=True, exist_ok=True)
    with httpx.Client(base_url=address, timeout=30) as client:
        for path in sorted(DASHBOARDS.glob("*.json")):
            dashboard = json.loads(path.read_text())
            draw(client, dashboard, span).save(folder / f"{path.stem}.png")


def draw(client: httpx.Client, dashboard: Any, span: int) -> Image.Image:
    """Return the picture of one dashboard over the last seconds."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    picture = Image.new("RGB", (24 * COLUMN, height * ROW + 30), "white")
    pen = ImageDraw.Draw(picture)
    pen.text(
        (10, 6), f"{dashboard['title']} (drawn from Prometheus, not by Grafana)", "black", FONT
    )
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        box = (
            place["x"] * COLUMN + 4,
            place["y"] * ROW + 34,
            (place["x"] + place["w"]) * COLUMN - 4,
            (place["y"] + place["h"]) * ROW + 26,
        )
        pen.rectangle(box, outline="#cccccc")
        pen.text((box[0] + 8, box[1] + 5), panel["title"], "black", FONT)
        if panel["type"] == "timeseries":
            _lines(pen, box, _series(client, panel, span), panel["fieldConfig"]["defaults"], span)
        else:
            _values(pen, box, client, panel)
    return picture


def _series(client: httpx.Client, panel: Any, span: int) -> list[tuple[str, list[Any]]]:
    now = time.time()
    window = {"start": now - span, "end": now, "step": max(1, span // 200)}
    return [
        (_legend(target, each["metric"]), each["values"])
        for target in panel["targets"]
        for each in _ask(client, "query_range", target, window)
    ]


def _ask(
    client: httpx.Client, path: str, target: Any, parameters: dict[str, float] | None = None
) -> list[Any]:
    query = target["expr"].replace("$__rate_interval", "30s").replace("$label", ".*")
    answer = client.get(f"/api/v1/{path}", params={"query": query, **(parameters or {})})
    answer.raise_for_status()
    found: list[Any] = answer.json()["data"]["result"]
    return found


def _legend(target: Any, labels: dict[str, str]) -> str:
    text: str = target["legendFormat"]
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _lines(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    series: list[tuple[str, list[Any]]],
    defaults: Any,
    span: int,
) -> None:
    left, top, right, bottom = box[0] + 60, box[1] + 28, box[2] - 10, box[3] - 42
    values = [float(value) for _, points in series for _, value in points if value != "NaN"]
    high = defaults.get("max", max(values, default=1.0) * 1.05 or 1.0)
    low = min([0.0, *values])
    for part in (0.0, 0.5, 1.0):
        y = bottom - part * (bottom - top)
        pen.line((left, y, right, y), "#eeeeee")
        text = f"{low + part * (high - low):.3g}"
        pen.text((left - 8, y), text, "#555555", SMALL, anchor="rm")
    if not series:
        pen.text(((left + right) / 2, (top + bottom) / 2), "no data", "#999999", FONT, anchor="mm")
    end, x = time.time(), left
    for number, (legend, points) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        line = [
            (
                right - (end - moment) / span * (right - left),
                bottom - (float(value) - low) / (high - low) * (bottom - top),
            )
            for moment, value in points
            if value != "NaN"
        ]
        if len(line) > 1:
            pen.line(line, colour, 2)
        if x < right - 40:
            pen.text((x, bottom + 10 + 14 * (number % 2)), legend[:40], colour, SMALL)
            x += (number % 2) * (12 + 6 * max(len(legend[:40]), len(series[number - 1][0][:40])))


def _values(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], client: httpx.Client, panel: Any
) -> None:
    y = box[1] + 32
    for target in panel["targets"]:
        for each in _ask(client, "query", target):
            value = float(each["value"][1])
            text = f"{_legend(target, each['metric'])} {value:.4g}".strip()
            pen.text((box[0] + 12, y), text, "#2a7a2a", FONT)
            y += 18


if __name__ == "__main__":
    main()
