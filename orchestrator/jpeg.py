"""Look through a JPEG's segments (ITU-T T.81, annex B) before Pillow does, which reads any number of them."""

import re
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = b"\xff\xd8\xff"
# Each scan passes over all pixels, however few bytes it takes; what writers make has ten or so.
MOST_SCANS: Final = 100
MOST_SEGMENTS: Final = 10_000
_MOST_STRAYS: Final = 100_000  # bytes
# Those with data: neither the zeros that are stuffed into scans nor restarts (B.1.1.3).
_MARKER: Final = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_MARKER_LENGTH: Final = 2
_SCAN: Final = 0xDA
_END: Final = 0xD9
_LOSSLESS_FRAME: Final = 0xF7  # of JPEG-LS (ITU-T T.87, C.1)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BITS: Final = 2  # behind the segment's length
_USUAL_BITS: Final = 8


def has_too_many_segments(file: bytes) -> bool:
    """Tell whether a file, if it is a JPEG, has so many scans or segments that reading them would take minutes.

    What stands between segments counts too: up to the first scan, Pillow passes over it one byte at a time.
    """
    scans = strays = 0
    end = len(_SIGNATURE) - 1
    for count, (marker, start) in enumerate(_segments(file), 1):
        strays += 0 if scans else start - _MARKER_LENGTH - end
        scans += marker == _SCAN
        if scans > MOST_SCANS or count > MOST_SEGMENTS or strays > _MOST_STRAYS:
            return True
        end = start + _length(file, start)
    return file.startswith(_SIGNATURE) and not scans and len(file) - end > _MOST_STRAYS


def unread_kind(file: bytes) -> str | None:
    """Say what a JPEG of a kind that Pillow does not read is; None if it is of another kind, or no JPEG."""
    for marker, start in _segments(file):
        if marker == _LOSSLESS_FRAME:
            return "a JPEG-LS image"
        if marker in _FRAMES:
            bits = int.from_bytes(file[start + _BITS : start + _BITS + 1])
            return f"a JPEG of {bits} bits a sample" if bits > _USUAL_BITS else None
    return None


def _segments(file: bytes) -> Iterator[tuple[int, int]]:
    """Give each segment's marker and where its length stands, up to the end of the image."""
    if not file.startswith(_SIGNATURE):
        return
    position = len(_SIGNATURE) - 1
    while (found := _MARKER.search(file, position)) and (marker := found[1][0]) != _END:
        yield marker, found.end()
        position = found.end() + _length(file, found.end())


def _length(file: bytes, start: int) -> int:
    return int.from_bytes(file[start : start + 2])
