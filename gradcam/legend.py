"""Tell below a radiograph what the colours mean, and how far the picture may be trusted."""

import numpy as np
from PIL import Image

from gradcam import wording as words
from gradcam.annotate import GRAY, WHITE
from gradcam.layout import Layout
from gradcam.overlay import overlay
from gradcam.text import Line, rows, wrap

AMBER = (255, 191, 105)
BACKDROP = 64  # gray value under the colour bar, as of lung


def colour_bar(layout: Layout, ceiling: float) -> Image.Image:
    """Draw all heats from 0 to 1 as the picture draws them: blended, and cut off at the ceiling."""
    size = layout.bar.width, layout.bar.height
    ramp = np.minimum(np.linspace(0, 1, size[0], dtype=np.float32), np.float32(ceiling))
    return overlay(Image.new("L", size, BACKDROP), np.tile(ramp, (size[1], 1)))


def scale_line(layout: Layout, scale: float) -> Line:
    """Place the evidence, in logits, at the bar's right end."""
    right = layout.size[0] - layout.pad
    return Line(words.logits(scale), right, layout.evidence_y, layout.small, GRAY, "right")


def legend_lines(layout: Layout, finding: bool) -> list[Line]:
    """Place the scale's left end, what the colours mean, the notice and the warnings.

    Args:
        layout: Where to.
        finding: Whether the label is a finding.
    """
    left, small = layout.pad, layout.small
    evidence = wrap(words.EVIDENCE if finding else words.PALE_EVIDENCE, small, layout.evidence_room)
    middle = layout.size[0] // 2
    return [
        Line("0", left, layout.evidence_y, small, GRAY),
        *rows(evidence, Line("", middle, layout.evidence_y, small, GRAY, "middle")),
        *rows(layout.notice, Line("", left, layout.notice_y, layout.font_size, WHITE)),
        *rows(layout.warnings, Line("", left, layout.warnings_y, small, AMBER)),
    ]
