"""Draw the finished pictures of one image.

What pictures share (legend, notice, warnings) is drawn once, so that a further one costs little more
than its blend.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradcam.annotate import caption_lines
from gradcam.layout import Box, Layout
from gradcam.legend import colour_bar, legend_lines, scale_line
from gradcam.overlay import Pixels, as_image, as_pixels, blend
from gradcam.scale import ceiling
from gradcam.text import draw
from gradcam.wording import Caption

BACKGROUND = (0, 0, 0)


@dataclass(frozen=True)
class Picture:
    """Hold the pixels of a finished picture, ``[H, W]``, and where the radiograph lies in it."""

    pixels: Pixels
    radiograph: Box

    @property
    def image(self) -> Image.Image:
        """Return it as an image of mode ``RGB``."""
        return as_image(self.pixels).convert("RGB")


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

    def draw(self, caption: Caption, heatmap: NDArray[np.float32]) -> Picture:
        """Draw one label's picture.

        Args:
            caption: What to write above it.
            heatmap: Heat ``[H, W]`` in [0, 1], of the radiograph's size here.
        """
        across, down = self.layout.size
        box = self.layout.radiograph
        pixels = np.empty((down, across), np.uint32)
        pixels[: box.y] = self._caption(caption)
        if box.width < across:
            pixels[box.y : box.bottom] = 0
        blend(self._gray, heatmap, pixels[box.y : box.bottom, box.x : box.x + box.width])
        pixels[box.bottom :] = self._finding_legend if caption.finding else self._pale_legend
        return Picture(pixels, box)

    @cached_property
    def _gray(self) -> NDArray[np.uint8]:
        return np.asarray(self.radiograph)

    @cached_property
    def _finding_legend(self) -> Pixels:
        return self._legend(finding=True)

    @cached_property
    def _pale_legend(self) -> Pixels:
        return self._legend(finding=False)

    def _caption(self, caption: Caption) -> Pixels:
        """Draw the strip above the radiograph."""
        strip = Image.new("RGB", (self.layout.size[0], self.layout.radiograph.y), BACKGROUND)
        draw(strip, caption_lines(caption, self.layout))
        return as_pixels(strip)

    def _legend(self, *, finding: bool) -> Pixels:
        """Draw the strip below the radiograph."""
        strip = _shared_legend(self.layout, finding).copy()
        line = scale_line(self.layout, self.scale)
        draw(strip, [replace(line, y=line.y - self.layout.radiograph.bottom)])
        return as_pixels(strip)


@lru_cache(maxsize=8)
def _shared_legend(layout: Layout, finding: bool) -> Image.Image:
    """Draw of the strip below what all findings, or all other labels, have in common.

    Images of one detector share their layout, so it is drawn once for many of them.
    """
    image = Image.new("RGB", layout.size, BACKGROUND)
    image.paste(colour_bar(layout, ceiling(finding)), (layout.bar.x, layout.bar.y))
    draw(image, legend_lines(layout, finding))
    return image.crop((0, layout.radiograph.bottom, *layout.size))
