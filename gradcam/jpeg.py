"""Write JPEGs of pictures that share rows, each shared row once.

Pictures of one image differ in their caption and where there is heat; the rest is the same in all. With
a restart marker after each row of blocks (ITU-T T.81, E.1.4) the rows are coded independently of each
other, so a row that another picture has too is copied from it instead of being coded again. Decoded
pixels are those of a JPEG without markers. Fifteen overlays of which half the rows are warm take two
thirds of the time; a single one takes what it took.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, cycle, groupby
from typing import Final, Protocol

from gradcam.encode import save
from gradcam.overlay import Pixels, as_image

ROW: Final = 16  # pixels down that a row of blocks takes, with colour at half resolution

# Markers of T.81, table B.1. In coded data a byte FF that begins none is followed by 00.
_START_OF_FRAME: Final = 0xC0
_START_OF_SCAN: Final = 0xDA
_END_OF_IMAGE: Final = b"\xff\xd9"
_RESTARTS: Final = [bytes([0xFF, 0xD0 + number]) for number in range(8)]
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")


class Rows(Protocol):
    """A picture as it is seen here."""

    @property
    def height(self) -> int:
        """Return how many rows of pixels it has."""
        ...

    def rows(self, top: int, bottom: int) -> Pixels:
        """Draw some of its rows."""
        ...

    def shared(self, spans: Iterable[tuple[int, int]]) -> Sequence[Hashable | None]:
        """Name what spans of rows show: equal names mean equal pixels in all pictures; None, that they are its own."""
        ...


class JpegWriter:
    """Write pictures of one size, and remember the rows that they share."""

    def __init__(self) -> None:
        self._head = b""
        self._known: dict[tuple[int, Hashable], bytes] = {}

    def write(self, picture: Rows) -> bytes:
        """Return a picture as a file, without any metadata."""
        bounds = _bounds(picture.height)
        names = picture.shared(bounds)
        coded = [self._known.get((number, name), b"") for number, name in enumerate(names)]
        for first, last in _runs([number for number, row in enumerate(coded) if not row]):
            pixels = picture.rows(bounds[first][0], bounds[last][1])
            self._head, coded[first : last + 1] = _code(pixels)
        self._known |= {
            (number, name): coded[number] for number, name in enumerate(names) if name is not None
        }
        return _join(self._head, picture.height, coded)


@lru_cache(maxsize=64)
def _bounds(height: int) -> tuple[tuple[int, int], ...]:
    """Return the first row of pixels of each row of blocks, and the first below it."""
    return tuple((top, min(top + ROW, height)) for top in range(0, height, ROW))


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Give first and last of the numbers that follow each other."""
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        yield run[0], run[-1]


def _code(pixels: Pixels) -> tuple[bytes, list[bytes]]:
    """Return the file's head, up to where the coded data begins, and the coded rows of blocks."""
    file = save(as_image(pixels), "jpeg", restart_marker_rows=1)
    *_, (_, scan) = _segments(file)
    data = scan + 2 + int.from_bytes(file[scan + 2 : scan + 4])
    return file[:data], _RESTART.split(file[data : -len(_END_OF_IMAGE)])


def _segments(file: bytes) -> Iterator[tuple[int, int]]:
    """Give marker and position of each segment of a head (T.81, B.1.1.4)."""
    position = 2  # after "start of image", which has no length
    marker = 0
    while marker != _START_OF_SCAN:
        marker = file[position + 1]
        yield marker, position
        position += 2 + int.from_bytes(file[position + 2 : position + 4])


@lru_cache(maxsize=8)
def _lines(head: bytes) -> int:
    """Return where a head says how many rows of pixels there are (T.81, B.2.2)."""
    frame = next(start for marker, start in _segments(head) if marker == _START_OF_FRAME)
    return frame + 5  # after marker, length and sample precision


def _join(head: bytes, height: int, rows: Sequence[bytes]) -> bytes:
    """Put a file together; restart markers count from 0 to 7 over and over (T.81, F.1.1.5.2)."""
    lines = _lines(head)
    marked = chain.from_iterable(zip(rows[:-1], cycle(_RESTARTS), strict=False))
    return b"".join(
        [head[:lines], height.to_bytes(2), head[lines + 2 :], *marked, rows[-1], _END_OF_IMAGE]
    )
