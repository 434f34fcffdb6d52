"""Tell what Pillow makes of a TIFF's samples, where that is not what they are (TIFF 6.0)."""

import io
import math
import operator
import re
import struct
from collections.abc import Iterator
from itertools import islice, repeat
from typing import Final, Literal

from PIL import Image, TiffImagePlugin

from orchestrator.errors import UnsupportedFormatError

_WHITE_IS_ZERO: Final = 0  # PhotometricInterpretation
_OLD_JPEG: Final = 6  # Compression
_JPEG: Final = 7
# By libtiff's own numbers. LZMA keeps as large a dictionary as its file asks for; WebP is in Pillow's table, but not in
# the libtiff that comes with it.
_UNPACKED_BY_NOBODY: Final = {
    34925: "LZMA, which may take more memory than its pixels do",
    50001: "WebP",
}
_DEEP_JPEG: Final = 12  # bits a sample
_UNSIGNED: Final = 1  # SampleFormat
_PLANE_BY_PLANE: Final = 2  # PlanarConfiguration
_HIGHEST_BIT_FIRST: Final = 1  # FillOrder
_ALPHA_BESIDE_ONE: Final = ("LA", "La", "PA")
_MOST_OF_BYTE: Final = 255
_BIG_ENDIAN: Final = re.compile(r";\d+B")

# A transfer function of RGB of 16 bits takes the most of what there is for a reason: 3 times 65536.
MOST_NUMBERS: Final = 200_000
_ORDERS: Final[dict[bytes, Literal["little", "big"]]] = {b"II": "little", b"MM": "big"}
_BIG_TIFF: Final = b"\x2b"
_MAGICS: Final = (b"II*\0", b"MM\0*", b"II+\0")
# Pillow takes it for a classic TIFF, whose directory would be elsewhere.
_BIG_TIFF_OF_HIGHEST_FIRST: Final = b"MM\0+\0\x08\0\0"
_KEPT_AS_BYTES: Final = (1, 2, 7)  # BYTE, ASCII and UNDEFINED
# Bytes of a number, by its type (TIFF 6.0, section 2; 13 of its supplement 1, 16 of BigTIFF).
_SIZES: Final = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
}
_Entry = tuple[int, int, int, bytes]  # tag, type, how many numbers, and these or where they are
# From ImageWidth to SampleFormat, those by which Pillow finds and reads the pixels, and the orientation
_OF_PIXELS: Final = frozenset(
    (*range(256, 260), 262, 266, 273, 274, *range(277, 280), 284, 320, *range(322, 326), 338, 339)
)
_DIRECTORIES: Final = (34665, 34853, 40965)  # of Exif, of GPS and of interoperability
# StripOffsets, ColorMap and TileOffsets, whatever their type
_TAKEN_ONE_BY_ONE: Final = (273, 320, 324)
# Of a tile that is larger than the image: writers fill up to multiples of 16, or cut all images into tiles of one size.
_MOST_PADDING: Final = 15
_MOST_OF_SMALL: Final = 2048
_STRIPS: Final = (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS)
_TILES: Final = (TiffImagePlugin.TILEOFFSETS, TiffImagePlugin.TILEBYTECOUNTS)


def has_too_many_numbers(file: bytes) -> bool:
    """Tell whether a file, if it is a TIFF, has so many tags and numbers in them that Pillow would take gigabytes.

    Looks at the first directory (TIFF 6.0, section 2) and those of Exif in it, in the wide form of BigTIFF as well.
    """
    if file[:2] not in _ORDERS:
        return False
    starts = [_first_directory(file)]
    total = 0
    for start in starts:
        count, entries = _directory(file, start)
        total += 1 + count
        if total > MOST_NUMBERS:
            return True
        for tag, kind, numbers, value in entries:
            size = _SIZES.get(kind)
            if size is None or numbers * size > len(file):
                continue  # which Pillow passes over
            if tag in _TAKEN_ONE_BY_ONE or kind not in _KEPT_AS_BYTES:
                total += numbers
            if tag in _DIRECTORIES:
                starts.append(int.from_bytes(value[:size], _ORDERS[file[:2]]))
    return total > MOST_NUMBERS


def lacks_tags(file: Image.Image, upload: bytes) -> bool:
    """Tell whether a TIFF's directory is cut short, or says something of the pixels that Pillow has passed over.

    Pillow leaves out a tag of a type that it doesn't know, and at a value that ends beyond the file all tags that
    follow. Of a tag that is there twice, it takes the first that it can read, and libtiff the first.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return False
    if not _has_whole_directory(upload):
        return True
    _, entries = _directory(upload, _first_directory(upload))
    of_pixels = [tag for tag, _, numbers, _ in entries if numbers and tag in _OF_PIXELS]
    return len(of_pixels) > len(set(of_pixels).intersection(file.tag_v2))


def has_huge_tiles(file: Image.Image) -> bool:
    """Tell whether tiles are far larger than the image: libtiff unpacks the whole of each, whatever of it is seen.

    Of strips it leaves out the rows below the image.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return False
    tags = file.tag_v2
    sides = (
        (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.IMAGEWIDTH),
        (TiffImagePlugin.TILELENGTH, TiffImagePlugin.IMAGELENGTH),
    )
    return any(
        tags.get(tile, 0) > max(tags[image] + _MOST_PADDING, _MOST_OF_SMALL)
        for tile, image in sides
    )


def has_shared_data(file: Image.Image, length: int) -> bool:
    """Tell whether strips or tiles share data, which libtiff looks through for each of them, to no small extent.

    Flat ones may, as what they are packed into is small beside their pixels.

    Args:
        file: The image as Pillow opened it.
        length: Of the whole file, in bytes.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile) or not _is_unpacked_by_libtiff(file):
        return False
    width, height = file.size
    tags = (TiffImagePlugin.STRIPBYTECOUNTS, TiffImagePlugin.TILEBYTECOUNTS)
    read = sum(min(each, length) for tag in tags for each in file.tag_v2.get(tag, ()))
    return bool(read > max(length, width * height))


def refuse_unsound(file: Image.Image) -> None:
    """Refuse a TIFF whose samples Pillow takes for others, without telling, or that takes more memory than they do.

    Raises:
        UnsupportedFormatError: It is one.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return
    if _lacks_interpretation(file):
        raise UnsupportedFormatError(
            "expected a TIFF that says whether black or white is zero (PhotometricInterpretation), got one that does"
            " not; save the image as PNG and send that"
        )
    if file.mode == "L" and not _has_unsigned_samples(file):
        raise UnsupportedFormatError(
            "expected unsigned samples of 8 bits, got signed ones; save the image as PNG and send that"
        )
    if _has_palette_of_bytes(file):
        raise UnsupportedFormatError(
            "expected a palette of 16 bits, got one of 8 bits; save the image as PNG and send that"
        )
    # libtiff has put such samples into this processor's order before Pillow does so once more
    if _is_unpacked_by_libtiff(file) and _BIG_ENDIAN.search(str(file.tile[0].args)):
        raise UnsupportedFormatError(
            "expected unsigned samples, or a file without compression, got compressed samples of another kind that"
            " begin with the highest byte; save the image as PNG and send that"
        )
    if packing := _UNPACKED_BY_NOBODY.get(file.tag_v2.get(TiffImagePlugin.COMPRESSION, 0)):
        raise UnsupportedFormatError(
            f"expected a TIFF that is compressed in another way, got one packed by {packing}; save the image as PNG and"
            " send that"
        )
    if _loses_last_column(file):
        raise UnsupportedFormatError(
            "expected an even width of a TIFF whose samples are packed as JPEG of 12 bits, got an odd one, whose last"
            " column would be lost; save the image as 16-bit PNG and send that"
        )
    apart = file.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _PLANE_BY_PLANE
    if apart and not _is_read_plane_by_plane(file):
        raise UnsupportedFormatError(
            "expected a TIFF whose samples lie pixel by pixel, got one that has them plane by plane; save the image as"
            " PNG and send that"
        )


def lacks_samples(file: Image.Image) -> bool:
    """Tell whether strips or tiles of an uncompressed TIFF are missing or too short, at which Pillow does not look.

    Where the file does not say how long they are, they are taken to be long enough. A single one is, too, as some
    writers say nonsense of it: if it ends before its rows do the file does, which Pillow sees.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile) or _is_unpacked_by_libtiff(file):
        return False
    tags = file.tag_v2
    offsets_tag, lengths_tag = _STRIPS if TiffImagePlugin.STRIPOFFSETS in tags else _TILES
    offsets = tags[offsets_tag]
    needed = list(islice(_lengths_needed(tags), len(offsets) + 1))
    if len(offsets) != len(needed) or not all(offsets):
        return True
    if len(needed) == 1:
        return False
    lengths = tags.get(lengths_tag, needed)
    return len(lengths) < len(needed) or any(map(operator.lt, lengths, needed))


def unread_tiff(upload: bytes) -> str | None:
    """Say what a TIFF of a kind that Pillow does not open is; None if it is a damaged one, or none."""
    if upload.startswith(_BIG_TIFF_OF_HIGHEST_FIRST):
        return "a BigTIFF whose numbers begin with the highest byte"
    if not upload.startswith(_MAGICS) or not _has_whole_directory(upload):
        return None
    _, entries = _directory(upload, _first_directory(upload))
    order = _ORDERS[upload[:2]]
    for tag, kind, _, value in entries:
        compression = int.from_bytes(value[: _SIZES.get(kind)], order)
        if (
            tag == TiffImagePlugin.COMPRESSION
            and compression not in TiffImagePlugin.COMPRESSION_INFO
        ):
            return "one that is compressed in a way that is not read"
    if _has_unknown_samples(upload):
        return "one whose samples are of another kind, or lie otherwise"
    return None


def is_inverted(file: Image.Image) -> bool:
    """Tell whether Pillow left a white-is-zero TIFF as it is; it inverts 1- and 8-bit ones only."""
    return (
        isinstance(file, TiffImagePlugin.TiffImageFile)
        and file.mode not in ("1", "L")
        and _is_white_zero(file)
    )


def is_unsigned(file: Image.Image) -> bool:
    """Tell whether 32-bit samples are unsigned ones, which Pillow takes for signed ones."""
    return (
        isinstance(file, TiffImagePlugin.TiffImageFile)
        and file.mode == "I"
        and _has_unsigned_samples(file)
    )


def _loses_last_column(file: TiffImagePlugin.TiffImageFile) -> bool:
    """Tell whether libtiff leaves out the last sample of each row: of JPEG of 12 bits it takes them by twos.

    Tiles have a width that is a multiple of 16 (TIFF 6.0, section 15).
    """
    tags = file.tag_v2
    return (
        tags.get(TiffImagePlugin.COMPRESSION) == _JPEG
        and _DEEP_JPEG in tags.get(TiffImagePlugin.BITSPERSAMPLE, ())
        and TiffImagePlugin.STRIPOFFSETS in tags
        and file.width % 2 == 1
    )


def _has_unknown_samples(upload: bytes) -> bool:
    """Tell whether Pillow does not open a TIFF as it has no mode for its samples, rather than as it is damaged."""
    try:
        TiffImagePlugin.TiffImageFile(io.BytesIO(upload))
    except SyntaxError as err:
        return "unknown pixel mode" in str(err)
    except Exception:  # noqa: BLE001 - whatever Pillow raises, it is damaged
        return False
    return False


def _first_directory(file: bytes) -> int:
    """Return where the first directory of a TIFF begins."""
    return int.from_bytes(file[8:16] if _is_wide(file) else file[4:8], _ORDERS[file[:2]])


def _directory(file: bytes, start: int) -> tuple[int, Iterator[_Entry]]:
    """Return how many tags a directory of a TIFF claims, and those of them that are in the file."""
    order = _ORDERS[file[:2]]
    form = "HHQ8s" if _is_wide(file) else "HHI4s"
    entry = struct.Struct(("<" if order == "little" else ">") + form)
    begin = start + (8 if _is_wide(file) else 2)
    count = int.from_bytes(file[start:begin], order)
    there = file[begin : begin + count * entry.size]
    whole = len(there) // entry.size * entry.size
    return count, entry.iter_unpack(there[:whole])


def _has_whole_directory(file: bytes) -> bool:
    count, entries = _directory(file, _first_directory(file))
    return count == sum(1 for _ in entries)


def _is_wide(file: bytes) -> bool:
    """Tell whether a TIFF is a BigTIFF, as Pillow does."""
    return file[2:3] == _BIG_TIFF


def _is_read_plane_by_plane(file: TiffImagePlugin.TiffImageFile) -> bool:
    """Tell whether Pillow, which cuts ``RGB;16L`` or ``L;I`` into letters, one a plane, loses nothing by it."""
    tags = file.tag_v2
    is_shallow = set(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) <= {1, 8}
    if file.mode in _ALPHA_BESIDE_ONE:  # which libtiff loses, and Pillow takes for damage
        return False
    if _is_unpacked_by_libtiff(file):  # which cuts only where there are several planes
        return len(file.getbands()) == 1 or is_shallow
    in_order = tags.get(TiffImagePlugin.FILLORDER, _HIGHEST_BIT_FIRST) == _HIGHEST_BIT_FIRST
    return is_shallow and in_order and not _is_white_zero(file)


def _is_unpacked_by_libtiff(file: TiffImagePlugin.TiffImageFile) -> bool:
    return bool(file.tile) and file.tile[0].codec_name == "libtiff"


def _lengths_needed(tags: TiffImagePlugin.ImageFileDirectory_v2) -> Iterator[int]:
    """Give the bytes that each strip or tile needs for its rows inside the image (TIFF 6.0, sections 3 and 15)."""
    width, height = tags[TiffImagePlugin.IMAGEWIDTH], tags[TiffImagePlugin.IMAGELENGTH]
    if TiffImagePlugin.STRIPOFFSETS in tags:
        across, rows = width, tags.get(TiffImagePlugin.ROWSPERSTRIP, height)
    else:
        across, rows = tags[TiffImagePlugin.TILEWIDTH], tags[TiffImagePlugin.TILELENGTH]
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    samples = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _PLANE_BY_PLANE:
        planes, depth = samples, bits[0]
    else:
        planes, depth = 1, sum(bits[:samples]) if len(bits) > 1 else bits[0] * samples
    row = math.ceil(across * depth / 8)
    for _ in range(planes):
        for top in range(0, height, rows):
            yield from repeat(min(rows, height - top) * row, math.ceil(width / across))


def _lacks_interpretation(file: TiffImagePlugin.TiffImageFile) -> bool:
    """Tell whether a tag that TIFF requires is missing, where Pillow takes white for zero by itself."""
    tags = file.tag_v2
    is_old_jpeg = tags.get(TiffImagePlugin.COMPRESSION) == _OLD_JPEG  # always YCbCr to Pillow
    return TiffImagePlugin.PHOTOMETRIC_INTERPRETATION not in tags and not is_old_jpeg


def _has_palette_of_bytes(file: TiffImagePlugin.TiffImageFile) -> bool:
    """Tell whether a palette is of 8 bits: Pillow takes the upper 8 of 16, which makes it black."""
    return (
        file.mode in ("P", "PA") and 0 < max(file.tag_v2[TiffImagePlugin.COLORMAP]) <= _MOST_OF_BYTE
    )


def _is_white_zero(file: TiffImagePlugin.TiffImageFile) -> bool:
    return bool(file.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO)


def _has_unsigned_samples(file: TiffImagePlugin.TiffImageFile) -> bool:
    return set(file.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (_UNSIGNED,))) == {_UNSIGNED}
