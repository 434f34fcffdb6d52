"""Draw plans as bars: how many cores each part keeps at work."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.capacity.plan import Plan

_COLOURS: Final = {"model": "#2f6f9f", "workers": "#d08b2c", "API": "#6b9f3b", "Redis": "#a8480f"}
_WIDTH: Final = 760
_LEFT: Final = 230
_BAR: Final = 26
_ROW: Final = 46
_TOP: Final = 86


def draw(plans: Sequence[Plan]) -> str:
    """Return an SVG: one bar per plan, as long as its cores are many per ten images a second."""
    longest = max(_per_ten(plan) for plan in plans)
    scale = (_WIDTH - _LEFT - 30) / longest
    height = _TOP + _ROW * len(plans) + 20
    title = "Cores at work for every 10 images per second, and what a rate needs"
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{title}</title>",
        "<style>text{font:13px system-ui,sans-serif;fill:#1b1f24}.title{font-size:16px;font-weight:600}"
        ".small{font-size:12px;fill:#57606a}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="title" x="16" y="28">{title}</text>',
    ]
    for number, (part, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + 110 * number
        shapes.append(f'<rect x="{x}" y="46" width="12" height="12" fill="{colour}"/>')
        shapes.append(f'<text x="{x + 18}" y="57">{part}</text>')
    for number, plan in enumerate(plans):
        shapes += _bar(plan, _TOP + _ROW * number, scale)
    return "\n".join([*shapes, "</svg>\n"])


def _per_ten(plan: Plan) -> float:
    return 10 * sum(plan.cores.values()) / plan.rate


def _bar(plan: Plan, y: int, scale: float) -> list[str]:
    kind = "GPU" if plan.accelerator else "CPU"
    shapes = [f'<text x="16" y="{y + 12}">{plan.rate:g} images/s, {kind}</text>']
    needs = f"{_count(plan.model_servers, 'model server')}, {_count(plan.workers, 'worker')}"
    shapes.append(f'<text class="small" x="16" y="{y + 28}">{escape(needs)}</text>')
    x = float(_LEFT)
    for part, colour in _COLOURS.items():
        width = 10 * plan.cores.get(part, 0.0) / plan.rate * scale
        hint = f"{part}: {plan.cores.get(part, 0.0):.1f} cores"
        shapes.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
            f"<title>{escape(hint)}</title></rect>"
        )
        x += width
    return shapes


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
