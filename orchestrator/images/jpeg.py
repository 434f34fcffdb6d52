"""Look through a JPEG's segments (ITU-T T.81, annex B) before Pillow does, which reads any number of them."""

import re
from collections.abc import Iterable, Iterator
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
_LOSSLESS_FRAME: Final = 0xC3
_JPEG_LS_FRAME: Final = 0xF7  # ITU-T T.87, C.1
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BITS: Final = 2  # behind the segment's length
_USUAL_BITS: Final = 8
_SIDES: Final = (3, 5, 7)  # where height and width begin, and end
_INDEX: Final = 0xE2
_INDEX_NAME: Final = b"MPF\0"  # behind the segment's length


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
        if marker == _JPEG_LS_FRAME:
            return "a JPEG-LS image"
        if marker in _FRAMES:
            bits = int.from_bytes(file[start + _BITS : start + _BITS + 1])
            return f"a JPEG of {bits} bits a sample" if bits > _USUAL_BITS else None
    return None


def is_lossless(file: bytes) -> bool:
    """Tell whether a JPEG's frame is lossless (annex H): libjpeg-turbo leaves its colours as they are."""
    return next((each for each, _ in _segments(file) if each in _FRAMES), None) == _LOSSLESS_FRAME


def has_equal_pictures(file: bytes, others: Iterable[tuple[int, int]]) -> bool:
    """Tell whether a JPEG of several pictures (CIPA DC-007) has others that are more than previews of the first.

    Previews, and maps of brightness or depth, have less than half of its pixels. A picture that the index tells of
    may be missing, as many programs keep the index alone.

    Args:
        file: The whole of it, with an index.
        others: Where each picture but the first begins, counted from the index, and its length.
    """
    index = max(
        start + 2 + len(_INDEX_NAME)
        for marker, start in _segments(file)
        if marker == _INDEX and file.startswith(_INDEX_NAME, start + 2)
    )
    left = len(file)
    for offset, length in others:
        picture = file[index + offset : index + offset + length]
        left -= len(picture)
        # those that overlap could be of any number, and each takes time to look through
        if left < 0 or 2 * _area(picture) >= _area(file):
            return True
    return False


def _area(file: bytes) -> int:
    """Return how many pixels a JPEG's frame has (B.2.2); 0 without any."""
    for marker, start in _segments(file):
        if marker in _FRAMES:
            top, middle, end = (start + each for each in _SIDES)
            return int.from_bytes(file[top:middle]) * int.from_bytes(file[middle:end])
    return 0


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
