"""Decode plain gray PNGs, which most radiographs are, in two fifths of the time that Pillow takes.

The decoder is the ``png`` crate, which is written in a memory-safe language (Rust) and checks every chunk's CRC.
Whatever isn't plain, or is damaged, is Pillow's, which leaves out the CRCs of the pixels' chunks, and leaves rows black
that are missing: :func:`are_data_intact` looks at those.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import kornia_rs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Chunks that do not touch the pixels as they are decoded here (PNG 3rd edition, 11.3): no palette, transparency,
# animation or Exif among them. Text may be there, but for text that holds the orientation.
_HARMLESS: Final = frozenset(
    b"IHDR IDAT IEND tIME pHYs gAMA cHRM sRGB iCCP sBIT bKGD hIST tEXt zTXt iTXt".split()
)
_WITH_ORIENTATION: Final = (b"Raw profile type ", b"XML:com.adobe.xmp")
_COMPRESSED: Final = (b"iCCP", b"zTXt", b"iTXt")
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS: Final = 100_000
_KIND: Final = slice(24, 26)  # bit depth and colour type, in IHDR, which comes first
_BIT_DEPTH: Final = _KIND.start
_WHITE: Final = 255
_EIGHT_BITS_GRAY: Final = b"\x08\x00"
_CHUNK_HEAD: Final = 8  # length and type
_CRC_LENGTH: Final = 4
_LONGEST_KEYWORD: Final = 20
_HEADER: Final = struct.Struct(">IIBBxxB")
_HEADER_START: Final = len(_SIGNATURE) + _CHUNK_HEAD
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Of each pass: the first column and row, and the steps to the next
_WHOLE: Final = ((0, 0, 1, 1),)
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_PIECE: Final = 2**16


def decode_plain(file: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Return the pixels ``[H, W]`` of an 8-bit gray PNG, or None if it is another kind of PNG or a damaged one.

    Args:
        file: Begins with PNG's signature.
        size: Width and height that its header claims.
    """
    if file[_KIND] != _EIGHT_BITS_GRAY:
        return None
    if not all(_is_harmless(file, chunk) for chunk in _chunks(file)):
        return None
    width, height = size
    try:
        pixels: NDArray[np.uint8] = kornia_rs.io.decode_image_png_u8(file, (height, width), "mono")
    except Exception:  # noqa: BLE001 - the only class that the library raises
        return None
    return pixels[..., 0]


def has_too_many_chunks(file: bytes) -> bool:
    """Tell whether a file, if it is a PNG, has so many chunks that reading past them would take Pillow seconds."""
    if not file.startswith(_SIGNATURE):
        return False
    return next(islice(_chunks(file), MOST_CHUNKS, None), None) is not None


def without_compressed_extras(file: bytes) -> bytes:
    """Leave out the colour profile and the texts of a PNG that Pillow would inflate, and take for damage beyond 1 MiB.

    Text that holds the orientation stays, as does any other format.
    """
    if not file.startswith(_SIGNATURE):
        return file
    kept, start = [], 0
    view = memoryview(file)
    for chunk in _chunks(file):
        if _kind(file, chunk) in _COMPRESSED and _is_harmless(file, chunk):
            kept.append(view[start : chunk.start - _CHUNK_HEAD])
            start = chunk.stop + _CRC_LENGTH
    return b"".join((*kept, view[start:])) if kept else file


def are_data_intact(file: bytes) -> bool:
    """Tell whether the pixels' chunks are whole, their CRCs hold (PNG 3rd edition, 5.5), and no row is missing.

    Args:
        file: Begins with PNG's signature and a header that Pillow has read.
    """
    view = memoryview(file)
    chunks = [chunk for chunk in _chunks(file) if _kind(file, chunk) == b"IDAT"]
    are_whole = all(
        view[chunk.stop : chunk.stop + _CRC_LENGTH]
        == zlib.crc32(view[chunk.start - 4 : chunk.stop]).to_bytes(_CRC_LENGTH)
        for chunk in chunks
    )
    return are_whole and _inflates_to((view[chunk] for chunk in chunks), _length_of_rows(file))


def scale_transparency(image: Image.Image, file: bytes) -> None:
    """Scale the gray that is transparent in a PNG of 2 or 4 bits as Pillow has scaled the pixels, but not that."""
    transparent = image.info.get("transparency")
    if image.format == "PNG" and image.mode == "L" and transparent is not None:
        image.info["transparency"] = transparent * _WHITE // (2 ** file[_BIT_DEPTH] - 1)


def _length_of_rows(file: bytes) -> int:
    """Return how many bytes the rows of all passes take, with a byte each for how they are filtered (7.2 and 8.1)."""
    width, height, depth, colour_type, interlace = _HEADER.unpack_from(file, _HEADER_START)
    length = 0
    for left, top, across, down in _ADAM7 if interlace else _WHOLE:
        columns, rows = len(range(left, width, across)), len(range(top, height, down))
        if columns:
            length += rows * (1 + math.ceil(columns * depth * _CHANNELS[colour_type] / 8))
    return length


def _inflates_to(parts: Iterable[memoryview], length: int) -> bool:
    """Tell whether a zlib stream holds so many bytes or more, without inflating more, or keeping what is inflated."""
    stream = zlib.decompressobj()
    pieces = (part[at : at + _PIECE] for part in parts for at in range(0, len(part), _PIECE))
    for piece in pieces:
        rest: memoryview | bytes = piece
        while length and (inflated := stream.decompress(rest, min(length, _PIECE))):
            length -= len(inflated)
            rest = stream.unconsumed_tail
        if stream.eof or not length:
            break
    return not length


def _chunks(file: bytes) -> Iterator[slice]:
    """Give where each chunk's data are."""
    position = len(_SIGNATURE)
    while (start := position + _CHUNK_HEAD) <= len(file):
        stop = start + int.from_bytes(file[position : position + 4])
        yield slice(start, stop)
        position = stop + _CRC_LENGTH


def _kind(file: bytes, chunk: slice) -> bytes:
    return file[chunk.start - 4 : chunk.start]


def _is_harmless(file: bytes, chunk: slice) -> bool:
    kind = _kind(file, chunk)
    begins = file[chunk.start : chunk.start + _LONGEST_KEYWORD]
    return kind in _HARMLESS and not (kind.endswith(b"Xt") and begins.startswith(_WITH_ORIENTATION))
