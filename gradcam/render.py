"""Draw the finished pictures of one image.

What pictures share (legend, notice, warnings) is drawn once, so that a further one costs little more
than its blend.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradcam.annotate import caption_lines
from gradcam.layout import Box, Layout
from gradcam.legend import colour_bar, legend_lines, scale_line
from gradcam.overlay import paint
from gradcam.scale import ceiling
from gradcam.text import draw
from gradcam.wording import Caption

BACKGROUND = (0, 0, 0)


@dataclass(frozen=True)
class Picture:
    """Hold a finished picture, mode ``RGB``, and where the radiograph lies in it."""

    image: Image.Image
    radiograph: Box


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
        box = self.layout.radiograph
        image = Image.new("RGB", self.layout.size, BACKGROUND)
        image.paste(_legend(self.layout, caption.finding), (0, box.y + box.height))
        paint(image, (box.x, box.y), self.radiograph, heatmap)
        lines = caption_lines(caption, self.layout)
        draw(image, [*lines, scale_line(self.layout, self.scale)])
        return Picture(image, box)


@lru_cache(maxsize=8)
def _legend(layout: Layout, finding: bool) -> Image.Image:
    """Draw the strip below the radiograph, which all findings, or all other labels, have in common.

    Images of one detector share their layout, so it is drawn once for many of them.
    """
    image = Image.new("RGB", layout.size, BACKGROUND)
    image.paste(colour_bar(layout, ceiling(finding)), (layout.bar.x, layout.bar.y))
    draw(image, legend_lines(layout, finding))
    return image.crop((0, layout.radiograph.y + layout.radiograph.height, *layout.size))
