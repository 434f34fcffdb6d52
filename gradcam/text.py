"""Measure, wrap and draw text in Pillow's built-in font, which needs no file."""

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, cast

from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

# What the font has beyond ASCII: quotes, middle dot, plus-minus.
EXTRAS: Final = "\u2018\u2019\u201c\u201d\u00b7\u00b1"
LIKENESS: Final = str.maketrans(
    {"\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00d7": "x", "\u2264": "<=", "\u2265": ">="}
)


@dataclass(frozen=True)
class Line:
    """Place one line of text: ``x`` is its left end, right end or middle, ``y`` its top."""

    text: str
    x: int
    y: int
    size: int
    colour: Colour
    align: Literal["left", "right", "middle"] = "left"

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return left, upper, right, lower of the room that the line takes."""
        wide = width(self.text, self.size)
        left = self.x - {"left": 0, "right": wide, "middle": wide // 2}[self.align]
        return left, self.y, left + wide, self.y + height(self.size)


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return the built-in font at a size in pixels."""
    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))


@lru_cache(maxsize=4096)
def width(text: str, size: int) -> int:
    """Return the pixels that a line of text takes across."""
    parts = text.split(" ")
    letters = sum(math.ceil(font(size).getlength(part)) for part in parts)
    return letters + (len(parts) - 1) * space(size)


def space(size: int) -> int:
    """Return the pixels between words: the font's own are too few for small text on a dark ground."""
    return math.ceil(size * 0.28)


def height(size: int) -> int:
    """Return the pixels that any line of text takes down, whichever letters it has."""
    return sum(font(size).getmetrics())


def words(text: str) -> list[str]:
    """Split text into words of letters that the built-in font has; accents go, the rest is "?"."""
    plain = unicodedata.normalize("NFKD", text.translate(LIKENESS))
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(
        letter if letter.isascii() or letter in EXTRAS else "?" for letter in letters
    ).split()


def wrap(text: str, size: int, room: int) -> list[str]:
    """Break text into lines no wider than the room, between words where that is possible."""
    lines: list[str] = []
    line = ""
    for word in words(text):
        longer = f"{line} {word}" if line else word
        if width(longer, size) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = _split(word, size, room)
        lines += full
    return [*lines, line] if line else lines


def _split(word: str, size: int, room: int) -> list[str]:
    """Cut a word into pieces no wider than the room, of one letter at least."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and width(pieces[-1] + letter, size) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def rows(texts: Iterable[str], first: Line) -> list[Line]:
    """Place texts below each other, the first of them where ``first`` is, all in its manner."""
    down = height(first.size)
    return [replace(first, text=text, y=first.y + row * down) for row, text in enumerate(texts)]


def draw(image: Image.Image, lines: Iterable[Line]) -> None:
    """Write lines into an image, in place; one of mode ``L`` takes their red."""
    for line in lines:
        colour = line.colour[0] if image.mode == "L" else line.colour
        left, top, _, _ = line.box
        for word in line.text.split(" "):
            margin = _margin(line.size)
            image.paste(colour, (left - margin, top), _ink(word, line.size))
            left += width(word, line.size) + space(line.size)


def _margin(size: int) -> int:
    """Return the pixels that a letter may lean out of its own width."""
    return 1 + size // 8


@lru_cache(maxsize=256)
def _ink(word: str, size: int) -> Image.Image:
    """Draw a word as a mask, with a margin left and right; pictures repeat the same few words."""
    margin = _margin(size)
    mask = Image.new("L", (width(word, size) + 2 * margin, height(size)))
    ImageDraw.Draw(mask).text((margin, 0), word, fill=255, font=font(size), anchor="la")
    return mask
