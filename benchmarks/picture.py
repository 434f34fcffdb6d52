"""Draw what matters of the figures as bars with their ranges: an SVG."""

import math
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.figures import Figure
from benchmarks.results import Part

TITLE: Final = "What a radiograph costs"

_WIDTH: Final = 760
_LEFT: Final = 250
_RIGHT: Final = 130
_ROW: Final = 24
_OURS: Final = "#2f6f9f"
_OTHERS: Final = "#b9c2cb"
_STAGES: Final = ("#d08b2c", "#2f6f9f", "#6b9f3b", "#a8480f", "#7a5ba6", "#b9c2cb")
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1b1f24}.title{font-size:16px;font-weight:600}"
    ".panel{font-weight:600}.small{font-size:12px;fill:#57606a}"
)


@dataclass(frozen=True)
class Panel:
    """Some figures of one unit, as bars of one scale.

    Attributes:
        title: What they are.
        part: The part that measured them.
        rows: Text of each bar, and the name of its figure.
    """

    title: str
    part: str
    rows: dict[str, str]


PANELS: Final = (
    Panel(
        "Images per second, 8 clients, 3 overlays each (higher is better)",
        "rivals",
        {
            "this service": "images per second with 8 clients, this service",
            "BentoML": "images per second with 8 clients, BentoML",
            "LitServe": "images per second with 8 clients, LitServe",
        },
    ),
    Panel(
        "Seconds until the answer, one client, 3 overlays (lower is better)",
        "rivals",
        {
            "this service": "latency of one client, this service",
            "BentoML": "latency of one client, BentoML",
            "LitServe": "latency of one client, LitServe",
            "naive shape": "latency of one client, naive shape",
        },
    ),
    Panel(
        "The network alone, milliseconds per batch of 8 (lower is better)",
        "model",
        {
            "this servable, float32": "float32: forward pass, batch 8",
            "this one with 15 Grad-CAMs": "float32: gradcam signature, batch 8",
            "ONNX Runtime, float32": "float32: ONNX Runtime, batch 8",
            "OpenVINO, float32": "float32: OpenVINO, batch 8",
            "this servable, bfloat16": "bfloat16: forward pass, batch 8",
            "this one with 15 Grad-CAMs ": "bfloat16: gradcam signature, batch 8",
            "OpenVINO, bfloat16": "bfloat16: OpenVINO, batch 8",
        },
    ),
)
STAGES: Final = {
    f"{precision}, {kind}": f"{precision}: of a request ({kind}, 3 overlays) in "
    for precision in ("float32", "bfloat16")
    for kind in ("1024² PNG", "2400² JPEG")
}


def draw(parts: dict[str, Part]) -> str:
    """Return an SVG of the panels whose parts were measured."""
    shapes: list[str] = []
    y = 62
    for panel in PANELS:
        found = _figures(parts, panel.part)
        rows = {text: found[name] for text, name in panel.rows.items() if name in found}
        rows = {text: figure for text, figure in rows.items() if not math.isnan(figure.value)}
        if rows:
            shapes += _panel(panel.title, rows, y)
            y += _ROW * (len(rows) + 2)
    stages = _stages(_figures(parts, "request"))
    if stages:
        shapes += _stacks(stages, y)
        y += _ROW * (len(stages) + 3)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">',
        f"<title>{TITLE}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{y}" fill="#fff"/>',
        f'<text class="title" x="16" y="28">{TITLE}</text>',
    ]
    return "\n".join([*head, *shapes, "</svg>\n"])


def _figures(parts: dict[str, Part], name: str) -> dict[str, Figure]:
    return {figure.name: figure for figure in parts[name].figures} if name in parts else {}


def _stages(found: dict[str, Figure]) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each stage, by what was asked."""
    stages = {
        text: {
            name.removeprefix(prefix): figure.value
            for name, figure in found.items()
            if name.startswith(prefix)
        }
        for text, prefix in STAGES.items()
    }
    return {text: each for text, each in stages.items() if each}


def _panel(title: str, rows: dict[str, Figure], y: int) -> list[str]:
    shapes = [_text(16, y, title, "panel")]
    scale = _scale(max(figure.high or figure.value for figure in rows.values()))
    for number, (text, figure) in enumerate(rows.items(), 1):
        top = y + _ROW * number - 10
        ours = text.startswith("this")
        shapes.append(_text(16, top + 13, text.rstrip(), "" if ours else "small"))
        shapes.append(_bar(_LEFT, top, figure.value * scale, _OURS if ours else _OTHERS))
        end = _LEFT + figure.value * scale
        if figure.low is not None and figure.high is not None:
            low, high = _LEFT + figure.low * scale, _LEFT + figure.high * scale
            shapes.append(
                f'<path d="M{low:.1f} {top + 8}H{high:.1f}M{low:.1f} {top + 4}v8M{high:.1f} {top + 4}v8"'
                ' stroke="#1b1f24" fill="none"/>'
            )
            end = max(end, high)
        shapes.append(_text(end + 8, top + 13, figure.median, "small"))
    return shapes


def _stacks(stages: dict[str, dict[str, float]], y: int) -> list[str]:
    shapes = [_text(16, y, "Where the time of one request goes, 3 overlays, milliseconds", "panel")]
    names = list(dict.fromkeys(name for each in stages.values() for name in each))
    colours = {name: _STAGES[number % len(_STAGES)] for number, name in enumerate(names)}
    x = 16.0
    for name, colour in colours.items():
        shapes += [_bar(x, y + 14, 12, colour, 12), _text(x + 18, y + 25, name, "small")]
        x += 34 + 7 * len(name)
    scale = _scale(max(sum(each.values()) for each in stages.values()))
    for number, (text, each) in enumerate(stages.items(), 2):
        top = y + _ROW * number - 6
        shapes.append(_text(16, top + 13, text))
        x = _LEFT
        for name, value in each.items():
            width = max(0.0, value) * scale
            shapes.append(_bar(x, top, width, colours[name], hint=f"{name}: {value:.1f} ms"))
            x += width
        shapes.append(_text(x + 8, top + 13, f"{sum(each.values()):.0f} ms", "small"))
    return shapes


def _scale(longest: float) -> float:
    return (_WIDTH - _LEFT - _RIGHT) / longest


def _bar(x: float, y: float, width: float, colour: str, height: int = 16, *, hint: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}"'
    return f'<rect {box} fill="{colour}">{title}</rect>'


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
