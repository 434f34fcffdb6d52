"""Put a strip with the caption above a radiograph and one with the legend below it.

Nothing is ever written over anatomy. One layout serves all labels of an image, so their pictures
have the same size and the radiograph lies at the same place in each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gradcam import wording
from gradcam.placement import Size
from gradcam.text import height, width, words, wrap
from gradcam.wording import Wording, spaced

SMALL: Final = 0.5  # of the font size: everything but label, probability and notice,
READABLE: Final = 11  # unless that were fewer pixels than this


@dataclass(frozen=True)
class Box:
    """Hold a rectangle, in pixels of the picture."""

    x: int
    y: int
    width: int
    height: int

    @property
    def bottom(self) -> int:
        """Return the first row below it."""
        return self.y + self.height


@dataclass(frozen=True)
class Layout:
    """Hold sizes, places and wrapped texts of a picture, in pixels.

    Attributes:
        size: Width and height of the whole picture.
        radiograph: Where the radiograph lies, and the size to which it must be resized.
        font_size: Of label, probability and notice.
        small: Font size of everything else.
        pad: Margin left and right.
        label_room: Width of the label's column.
        label_lines: Lines set aside for the label.
        status_y: Top of the line below them.
        bar: Where the colour bar lies.
        evidence_y: Top of the lines that explain it.
        evidence_room: Their width, between the ends of the scale.
        notice_y: Top of the notice.
        notice: The notice, wrapped.
        warnings_y: Top of the warnings.
        warnings: The warnings, wrapped.
        whole_words: Whether no word had to be broken.
    """

    size: Size
    radiograph: Box
    font_size: int
    small: int
    pad: int
    label_room: int
    label_lines: int
    status_y: int
    bar: Box
    evidence_y: int
    evidence_room: int
    notice_y: int
    notice: tuple[str, ...]
    warnings_y: int
    warnings: tuple[str, ...]
    whole_words: bool


def arrange(radiograph: Size, across: int, font_size: int, texts: Wording) -> Layout:
    """Lay out a picture from top to bottom.

    Args:
        radiograph: Size of the radiograph in the picture.
        across: Width of the picture, at least the radiograph's.
        font_size: Of label, probability and notice.
        texts: The texts to leave room for.
    """
    small = max(round(font_size * SMALL), min(font_size, READABLE))
    pad = max(4, round(font_size * 0.4))
    gap = pad // 2
    room = across - 2 * pad

    number = max(width(wording.LONGEST_NUMBER, font_size), width(wording.PROBABILITY, small))
    label_room = room - number - pad
    labels = [spaced(label) for label in texts.labels]
    label_lines = max([1, *(len(wrap(label, font_size, label_room)) for label in labels)])
    status_y = gap + label_lines * height(font_size)
    radiograph_y = status_y + height(small) + pad

    bar = Box(pad, radiograph_y + radiograph[1] + pad, room, max(4, round(font_size * 0.3)))
    evidence_y = bar.y + bar.height + gap // 2
    evidence_room = room - 2 * (width(wording.LONGEST_SCALE, small) + pad)
    evidence = [
        wrap(text, small, evidence_room) for text in (wording.EVIDENCE, wording.PALE_EVIDENCE)
    ]
    notice_y = evidence_y + max(map(len, evidence)) * height(small) + gap
    notice = wrap(wording.NOTICE, font_size, room)
    warnings_y = notice_y + len(notice) * height(font_size)
    warnings = [line for text in texts.warnings for line in wrap(text, small, room)]
    bottom = warnings_y + len(warnings) * height(small) + pad

    return Layout(
        size=(across, bottom),
        radiograph=Box((across - radiograph[0]) // 2, radiograph_y, *radiograph),
        font_size=font_size,
        small=small,
        pad=pad,
        label_room=label_room,
        label_lines=label_lines,
        status_y=status_y,
        bar=bar,
        evidence_y=evidence_y,
        evidence_room=evidence_room,
        notice_y=notice_y,
        notice=tuple(notice),
        warnings_y=warnings_y,
        warnings=tuple(warnings),
        whole_words=_fits(labels, font_size, label_room)
        and _fits([wording.NOTICE], font_size, room)
        and _fits(texts.warnings, small, room)
        and width(wording.LONGEST_STATUS, small) <= label_room,
    )


def _fits(texts: Iterable[str], size: int, room: int) -> bool:
    """Tell whether every word of the texts fits into the room."""
    return all(width(word, size) <= room for text in texts for word in words(text))
