"""Draw the figures of an evaluation as a picture: one line per label, one panel per figure, chance marked."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from orchestrator.evaluation.figures import Figures, Row
from orchestrator.evaluation.table import number

_ROW: Final = 30
_TOP: Final = 84
_NAMES: Final = 210  # at least
_PANEL: Final = 220
_BAR: Final = 140
_GAP: Final = 8
_FONT: Final = 16
_INK: Final = (32, 36, 40)
_BLUE: Final = (58, 110, 165)
_TRACK: Final = (233, 236, 239)
_CHANCE: Final = (196, 78, 44)
_PAPER: Final = (255, 255, 255)


@dataclass(frozen=True)
class _Panel:
    """Describe one column: what it shows, of which range, and what chance would give."""

    title: str
    low: float
    high: float
    value: Callable[[Row], float]
    chance: Callable[[Row], float]

    def share(self, value: float) -> float:
        """Return where a value lies between the panel's ends, in [0, 1]."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def _pointing(name: str) -> Callable[[Row], float]:
    return lambda row: getattr(row.pointing, name) if row.pointing else math.nan


def _nothing(_: Row) -> float:
    return math.nan


_PLAIN: Final = (
    _Panel("AUROC", 0.0, 1.0, lambda row: row.auroc, lambda _: 0.5),
    _Panel("calibration error", 0.0, 0.5, lambda row: row.calibration_error, _nothing),
)
_LOCATED: Final = tuple(
    _Panel(title, 0.0, 1.0, _pointing(name), _pointing(f"{name}_chance"))
    for title, name in (
        ("strongest cell touches box", "overlap"),
        ("its centre is inside", "center"),
        ("IoU", "iou"),
    )
)


def draw(found: Figures) -> Image.Image:
    """Draw the picture, RGB."""
    names = max([_NAMES, *(_width(row.label) + 2 * _GAP for row in found.rows)])
    panels = _PLAIN + (_LOCATED if any(row.pointing for row in found.rows) else ())
    size = (names + _PANEL * len(panels) + 2 * _GAP, _TOP + _ROW * len(found.rows) + _GAP)
    picture = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(picture)
    model = found.model
    title = f"{model['name']} version {model['version']}: {found.images} images"
    pen.text((_GAP, _GAP), title, _INK, _font(_FONT + 4))
    pen.text((_GAP, _TOP - 28), "orange: by chance", _CHANCE, _font(_FONT - 2))
    for column, panel in enumerate(panels):
        left = names + column * _PANEL
        pen.text((left, _TOP - 28), panel.title, _INK, _font(_FONT - 2))
        for line, row in enumerate(found.rows):
            _bar(pen, panel, row, left, _TOP + line * _ROW)
    for line, row in enumerate(found.rows):
        pen.text((_GAP, _TOP + line * _ROW + 4), row.label, _INK, _font(_FONT))
    return picture


def as_png(found: Figures) -> bytes:
    """Draw the picture and encode it."""
    buffer = io.BytesIO()
    draw(found).save(buffer, "PNG")
    return buffer.getvalue()


def _bar(pen: ImageDraw.ImageDraw, panel: _Panel, row: Row, left: int, top: int) -> None:
    value, chance = panel.value(row), panel.chance(row)
    bottom = top + _ROW - 6
    pen.rectangle((left, top + 2, left + _BAR, bottom), _TRACK)
    if not math.isnan(value):
        length = round(panel.share(value) * _BAR)
        if length:
            pen.rectangle((left, top + 2, left + length, bottom), _BLUE)
        if not math.isnan(chance):
            tick = left + round(panel.share(chance) * _BAR)
            pen.rectangle((tick - 1, top, tick + 1, bottom + 2), _CHANCE)
    pen.text((left + _BAR + _GAP, top + 4), number(value), _INK, _font(_FONT))


def _width(text: str) -> int:
    return math.ceil(_font(_FONT).getlength(text))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
