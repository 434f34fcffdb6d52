"""Draw the finished pictures of one image.

What pictures share (legend, notice, warnings) is drawn once, so that a further one costs little more
than its blend.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradcam.annotate import caption_lines
from gradcam.heatmap import Heat
from gradcam.layout import Box, Layout
from gradcam.legend import colour_bar, legend_lines, scale_line
from gradcam.overlay import Pixels, as_image, as_pixels, blend, without_heat
from gradcam.scale import ceiling
from gradcam.text import draw
from gradcam.wording import Caption

BACKGROUND = (0, 0, 0)
# Rows of a radiograph drawn at a time, so that all but the result stays in the cache.
BAND: Final = 128


@dataclass(frozen=True)
class Canvas:
    """Draw pictures of one image, one per label, all alike but for caption and heat.

    Attributes:
        radiograph: Mode ``L``, already resized to the layout's size for it.
        layout: From ``gradcam.plan.plan``.
        scale: Evidence drawn at full colour, in logits; the one the heatmaps were divided by.
    """

    radiograph: Image.Image
    layout: Layout
    scale: float

    def __post_init__(self) -> None:
        """Refuse a radiograph of another size than the layout's."""
        box = self.layout.radiograph
        if self.radiograph.mode != "L" or self.radiograph.size != (box.width, box.height):
            raise ValueError(
                f"expected a radiograph of mode L, {box.width}x{box.height} pixels, "
                f"got {self.radiograph.mode} {self.radiograph.size}"
            )

    def draw(self, caption: Caption, heat: Heat) -> "Picture":
        """Draw one label's picture.

        Args:
            caption: What to write above it.
            heat: Of the radiograph's size here.
        """
        top = self.layout.radiograph.y
        rows = (top + heat.warm[0], top + heat.warm[1])
        return Picture(self, self._caption(caption), heat, caption.finding, rows)

    @cached_property
    def gray(self) -> NDArray[np.uint8]:
        """Return the radiograph's pixels."""
        return np.asarray(self.radiograph)

    @cached_property
    def finding_legend(self) -> Pixels:
        """Return the strip below a finding."""
        return self._legend(finding=True)

    @cached_property
    def pale_legend(self) -> Pixels:
        """Return the strip below any other label."""
        return self._legend(finding=False)

    def _caption(self, caption: Caption) -> Pixels:
        """Draw the strip above the radiograph."""
        strip = Image.new("L", (self.layout.size[0], self.layout.radiograph.y))
        draw(strip, caption_lines(caption, self.layout))
        return without_heat(np.asarray(strip))

    def _legend(self, *, finding: bool) -> Pixels:
        """Draw the strip below the radiograph."""
        strip = _shared_legend(self.layout, finding).copy()
        line = scale_line(self.layout, self.scale)
        draw(strip, [replace(line, y=line.y - self.layout.radiograph.bottom)])
        return as_pixels(strip)


@dataclass(frozen=True)
class Picture:
    """A picture of one label, whose rows are drawn when they are asked for.

    Attributes:
        canvas: What it has in common with the others of its image.
        caption: The strip above the radiograph.
        heat: Of the radiograph's size here.
        finding: Whether the label is a finding.
        warm: First row of the picture with heat, and the first below it without.
    """

    canvas: Canvas
    caption: Pixels
    heat: Heat
    finding: bool
    warm: tuple[int, int]

    @property
    def height(self) -> int:
        """Return how many rows of pixels it has."""
        return self.canvas.layout.size[1]

    @property
    def radiograph(self) -> Box:
        """Return where the radiograph lies in it."""
        return self.canvas.layout.radiograph

    @property
    def image(self) -> Image.Image:
        """Return the whole picture, mode ``RGB``."""
        return as_image(self.rows(0, self.height)).convert("RGB")

    def rows(self, top: int, bottom: int) -> Pixels:
        """Draw some of its rows."""
        box, across = self.radiograph, self.canvas.layout.size[0]
        legend = self.canvas.finding_legend if self.finding else self.canvas.pale_legend
        pixels = np.empty((bottom - top, across), np.uint32)
        if box.width < across:
            pixels[:] = 0
        for start, strip in ((0, self.caption), (box.bottom, legend)):
            here, there = _common(top, bottom, start, start + len(strip))
            pixels[here] = strip[there]
        columns = np.s_[box.x : box.x + box.width]
        for start in range(max(top, box.y), min(bottom, box.bottom), BAND):
            end = min(start + BAND, bottom, box.bottom)
            there = np.s_[start - box.y : end - box.y]
            levels = self.heat.levels(there.start, there.stop)
            blend(self.canvas.gray[there], levels, pixels[start - top : end - top, columns])
        return pixels

    def shared(self, spans: Iterable[tuple[int, int]]) -> list[str | None]:
        """Name what other pictures of the canvas have in common with spans of rows of this one; None if nothing.

        Rows without heat are the radiograph's own, and those of the legend alike for all findings, and for all
        others.
        """
        box, (warm, cold) = self.radiograph, self.warm
        legend = "finding" if self.finding else "pale"
        return [
            None
            if top < box.y or (top < cold and bottom > warm)
            else ("radiograph" if bottom <= box.bottom else legend)
            for top, bottom in spans
        ]


def _common(top: int, bottom: int, start: int, end: int) -> tuple[slice, slice]:
    """Return which rows two spans have in common, counted from ``top`` and counted from ``start``."""
    first = max(top, start)
    last = max(first, min(bottom, end))
    return slice(first - top, last - top), slice(first - start, last - start)


@lru_cache(maxsize=8)
def _shared_legend(layout: Layout, finding: bool) -> Image.Image:
    """Draw the strip below the radiograph as far as all findings, or all other labels, have it in common.

    Images of one detector share their layout, so it is drawn once for many of them.
    """
    image = Image.new("RGB", layout.size, BACKGROUND)
    image.paste(colour_bar(layout, ceiling(finding)), (layout.bar.x, layout.bar.y))
    draw(image, legend_lines(layout, finding))
    return image.crop((0, layout.radiograph.bottom, *layout.size)).convert("RGBX")
