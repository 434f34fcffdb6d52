import resource
import struct
import zlib
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from orchestrator.errors import NotAnImageError, UnsupportedFormatError
from orchestrator.images.radiograph import decode
from orchestrator.images.tiff import has_too_many_numbers
from tests.support.foreign_files import (
    DEEP_JPEG_IN_TIFF,
    DEEP_JPEG_OF_ODD_WIDTH_IN_TIFF,
    WEBP_IN_TIFF,
)
from tests.support.images import encoded, gradient

LIMIT = 1_000_000
BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 258, 259, 262, 266
OFFSETS, PLANAR, COLOURS, EXTRA_SAMPLES, SAMPLE_FORMAT = 273, 284, 320, 338, 339
SAMPLES, ROWS, LENGTHS = 277, 278, 279
TILE_WIDTH, TILE_ROWS, TILES, TILE_LENGTHS = 322, 323, 324, 325
EXIF, ICC = 34665, 34675
MAGIC: Final[Mapping[Literal["<", ">"], bytes]] = MappingProxyType({"<": b"II", ">": b"MM"})
NO_TAGS: Final[Mapping[int, int | list[int]]] = MappingProxyType({})
RAMP = np.tile(np.arange(256), (40, 1))


def tiff(
    *planes: NDArray[Any],
    order: Literal["<", ">"] = "<",
    tags: Mapping[int, int | list[int]] = NO_TAGS,
) -> bytes:
    """Write planes as TIFF 6.0 says, a strip each, with these values of tags in the place of the usual ones.

    A list holds all values of a tag; without any the tag is left out. Where the tags tell of tiles, planes are those.
    A plane of no rows has the offset 0.
    """
    height, width = planes[0].shape
    compress = zlib.compress if tags.get(COMPRESSION) == 8 else bytes
    strips = [compress(plane.astype(plane.dtype.newbyteorder(order)).tobytes()) for plane in planes]
    count = len(planes)
    offsets, lengths = (TILES, TILE_LENGTHS) if TILE_WIDTH in tags else (OFFSETS, LENGTHS)
    values: dict[int, list[int]] = {
        256: [width],
        257: [height],
        BITS: [planes[0].dtype.itemsize * 8] * count,
        COMPRESSION: [1],
        PHOTOMETRIC: [1 if count == 1 else 2],
        offsets: [0] * count,
        SAMPLES: [count],
        ROWS: [height],
        lengths: [len(strip) for strip in strips],
        PLANAR: [2],
    }
    for tag, value in tags.items():
        usual = values.pop(tag, [0])
        if value != []:
            values[tag] = value if isinstance(value, list) else [value] * len(usual)
    start = 8 + 2 + 12 * len(values) + 4
    beyond = 4 * sum(len(each) for each in values.values() if len(each) > 1)
    ends = accumulate((len(strip) for strip in strips), initial=start + beyond)
    values[offsets] = [end if strip else 0 for end, strip in zip(ends, strips, strict=False)]
    entries, more = b"", b""
    for tag, each in sorted(values.items()):
        long = struct.pack(f"{order}{len(each)}I", *each)
        at = struct.pack(f"{order}I", start + len(more))
        entries += struct.pack(f"{order}HHI", tag, 4, len(each)) + (long if len(each) == 1 else at)
        more += long if len(each) > 1 else b""
    magic = MAGIC[order] + struct.pack(f"{order}HIH", 42, 8, len(values))
    return b"".join((magic, entries, bytes(4), more, *strips))


def first_row(upload: bytes) -> list[int]:
    return [int(each) for each in np.asarray(decode(upload, max_pixels=LIMIT).image)[0]]


BYTES = RAMP.astype(np.uint8)
DEEP = RAMP.astype(np.uint16) * 16  # a radiograph of 12 bits


@pytest.mark.parametrize(
    "upload",
    [
        tiff(DEEP, DEEP, DEEP),
        tiff(DEEP, DEEP, DEEP, order=">"),
        tiff(DEEP, DEEP, DEEP, tags={COMPRESSION: 8}),
        tiff(DEEP),
        tiff(255 - BYTES, tags={PHOTOMETRIC: 0}),
        tiff(BYTES, tags={FILL_ORDER: 2}),
        tiff(RAMP.astype(np.float32), order=">", tags={SAMPLE_FORMAT: 3}),
        tiff(BYTES, BYTES | 255, tags={PHOTOMETRIC: 1, EXTRA_SAMPLES: 2}),
        tiff(BYTES, BYTES | 255, tags={COMPRESSION: 8, PHOTOMETRIC: 1, EXTRA_SAMPLES: 2}),
        tiff(BYTES, BYTES | 255, tags={COMPRESSION: 8, PHOTOMETRIC: 1, EXTRA_SAMPLES: 1}),
        tiff(
            BYTES,
            BYTES | 255,
            tags={COMPRESSION: 8, PHOTOMETRIC: 3, EXTRA_SAMPLES: 2, COLOURS: [65535] * 768},
        ),
    ],
    ids=[
        "RGB",
        "RGB, big-endian",
        "RGB, Deflate",
        "gray",
        "white is zero",
        "bits reversed",
        "float",
        "gray and alpha",
        "gray and alpha, Deflate",
        "gray times alpha, Deflate",
        "palette and alpha, Deflate",
    ],
)
def test_planes_that_would_be_misread_are_refused(upload: bytes) -> None:
    with pytest.raises(UnsupportedFormatError, match="got one that has them plane by plane; save"):
        decode(upload, max_pixels=LIMIT)


@pytest.mark.parametrize(
    "upload",
    [
        tiff(BYTES, BYTES, BYTES),
        tiff(BYTES, BYTES, BYTES, tags={COMPRESSION: 8}),
        tiff(BYTES),
        tiff(DEEP, tags={COMPRESSION: 8}),
        tiff(255 - BYTES, tags={COMPRESSION: 8, PHOTOMETRIC: 0}),
        tiff(255 - BYTES, tags={PLANAR: 1, PHOTOMETRIC: 0}),
        tiff(DEEP, tags={PLANAR: 1}),
        tiff(RAMP.astype(np.float32), order=">", tags={PLANAR: 1, SAMPLE_FORMAT: 3}),
    ],
)
def test_planes_that_are_read_as_they_are_keep_their_shades(upload: bytes) -> None:
    assert first_row(upload) == list(range(256))


def test_signed_samples_of_eight_bits_are_refused_as_they_would_wrap_around() -> None:
    with pytest.raises(UnsupportedFormatError, match="expected unsigned samples of 8 bits"):
        decode(tiff(BYTES, tags={PLANAR: 1, SAMPLE_FORMAT: 2}), max_pixels=LIMIT)
    assert first_row(tiff(BYTES, tags={PLANAR: 1, SAMPLE_FORMAT: 1})) == list(range(256))


def test_signed_samples_of_sixteen_bits_are_read() -> None:
    signed = (RAMP * 16 - 2000).astype(np.int16)
    assert first_row(tiff(signed, tags={PLANAR: 1, SAMPLE_FORMAT: 2})) == list(range(256))


@pytest.mark.parametrize(
    ("samples", "kind"),
    [(RAMP.astype(np.int16), 2), (RAMP.astype(np.int32), 2), (RAMP.astype(np.float32), 3)],
    ids=["int16", "int32", "float32"],
)
def test_compressed_samples_in_big_endian_order_are_refused_if_they_would_be_turned_twice(
    samples: NDArray[Any], kind: int
) -> None:
    tags = {PLANAR: 1, SAMPLE_FORMAT: kind, COMPRESSION: 8}
    assert first_row(tiff(samples, tags=tags)) == list(range(256))
    with pytest.raises(UnsupportedFormatError, match="begin with the highest byte; save the image"):
        decode(tiff(samples, order=">", tags=tags), max_pixels=LIMIT)
    unsigned = tiff(DEEP, order=">", tags={PLANAR: 1, COMPRESSION: 8})
    assert first_row(unsigned) == list(range(256))


@pytest.mark.parametrize("compression", [1, 8], ids=["none", "Deflate"])
@pytest.mark.parametrize("samples", [BYTES, DEEP], ids=["uint8", "uint16"])
def test_a_file_that_does_not_say_whether_white_is_zero_is_refused(
    samples: NDArray[Any], compression: int
) -> None:
    tags = {PLANAR: 1, COMPRESSION: compression}
    assert first_row(tiff(samples, tags=tags)) == list(range(256))
    with pytest.raises(UnsupportedFormatError, match="whether black or white is zero"):
        decode(tiff(samples, tags={**tags, PHOTOMETRIC: []}), max_pixels=LIMIT)


def test_an_old_jpeg_inside_need_not_say_so_as_it_is_ycbcr() -> None:
    # TIFF 6.0, section 22: JPEGInterchangeFormat says where the JPEG begins
    jpeg = encoded(Image.fromarray(BYTES).convert("RGB"), "JPEG", quality=100)
    begin, length = 8 + 2 + 12 * 10 + 4, len(jpeg)
    tags = {
        256: 256,
        257: 40,
        BITS: 8,
        COMPRESSION: 6,
        OFFSETS: begin,
        SAMPLES: 3,
        ROWS: 40,
        LENGTHS: length,
        513: begin,
        514: length,
    }
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    file = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(entries) + bytes(4) + jpeg

    assert np.abs(np.subtract(first_row(file), np.arange(256))).max() <= 3


@pytest.mark.parametrize("compression", [1, 8], ids=["none", "Deflate"])
def test_a_palette_of_eight_bits_is_refused_as_it_would_be_black(compression: int) -> None:
    tags = {PLANAR: 1, PHOTOMETRIC: 3, COMPRESSION: compression}
    shades = list(range(255, -1, -1))
    sixteen = tiff(BYTES, tags={**tags, COLOURS: [257 * shade for shade in shades] * 3})
    assert first_row(sixteen) == shades
    with pytest.raises(UnsupportedFormatError, match="palette of 16 bits, got one of 8 bits; save"):
        decode(tiff(BYTES, tags={**tags, COLOURS: shades * 3}), max_pixels=LIMIT)


def test_a_palette_of_nothing_but_black_is_black_at_any_depth() -> None:
    assert not any(first_row(tiff(BYTES, tags={PLANAR: 1, PHOTOMETRIC: 3, COLOURS: [0] * 768})))


NOISE = np.random.default_rng(0).integers(0, 256, (40, 256), np.uint8)
STRIPS = [NOISE[top : top + 8] for top in range(0, 40, 8)]
ONE_PLANE = {257: 40, BITS: 8, PHOTOMETRIC: 1, SAMPLES: 1, PLANAR: 1}
OF_STRIPS = {**ONE_PLANE, ROWS: 8}
TILED = [
    np.pad(NOISE, ((0, 8), (0, 0)))[top : top + 16, left : left + 64]
    for top in range(0, 40, 16)
    for left in range(0, 256, 64)
]
OF_TILES: dict[int, int | list[int]] = {
    **ONE_PLANE,
    256: 256,
    TILE_WIDTH: 64,
    TILE_ROWS: 16,
    ROWS: [],
}
PACKED = NOISE[:, :92]  # 61 samples of 12 bits take 91.5 bytes
OF_TWELVE_BITS = {256: 61, BITS: 12, PLANAR: 1}
IN_TWO = {**ONE_PLANE, **OF_TWELVE_BITS, ROWS: 20}


@pytest.mark.parametrize(
    "upload",
    [
        tiff(*STRIPS, tags=OF_STRIPS),
        tiff(*STRIPS[:3], NOISE[24:], tags={**OF_STRIPS, 257: 32}),
        tiff(*(np.pad(strip, ((0, 1), (0, 0))) for strip in STRIPS), tags=OF_STRIPS),
        tiff(*STRIPS, tags={**OF_STRIPS, LENGTHS: []}),
        tiff(NOISE, tags={PLANAR: 1, ROWS: []}),
        tiff(NOISE, tags={PLANAR: 1, ROWS: 2**32 - 1}),
        tiff(NOISE, tags={PLANAR: 1, LENGTHS: 0}),
        tiff(NOISE, tags={PLANAR: 1, LENGTHS: 1000}),
        tiff(*TILED, tags=OF_TILES),
        tiff(*TILED[:8], *(tile[:8] for tile in TILED[8:]), tags=OF_TILES),
        tiff(*TILED, tags={**OF_TILES, TILE_LENGTHS: []}),
        tiff(*TILED, tags={**OF_TILES, 256: 250}),
    ],
    ids=[
        "strips",
        "a last one that is longer",
        "longer ones",
        "no lengths",
        "no rows",
        "more rows than there are",
        "one of no length",
        "one of a wrong length",
        "tiles",
        "tiles cut below",
        "tiles without lengths",
        "tiles wider than the image",
    ],
)
def test_strips_and_tiles_that_are_whole_are_read(upload: bytes) -> None:
    found = np.asarray(decode(upload, max_pixels=LIMIT).image)
    np.testing.assert_array_equal(found, NOISE[: found.shape[0], : found.shape[1]])


@pytest.mark.parametrize(
    "upload",
    [
        tiff(*STRIPS[:4], tags=OF_STRIPS),
        tiff(*STRIPS, STRIPS[0], tags=OF_STRIPS),
        tiff(*STRIPS[:4], NOISE[:0], tags=OF_STRIPS),
        tiff(*STRIPS[:4], NOISE[:0], tags={**OF_STRIPS, LENGTHS: []}),
        tiff(*STRIPS[:2], STRIPS[2][:7], *STRIPS[3:], tags=OF_STRIPS),
        tiff(*STRIPS, tags={**OF_STRIPS, LENGTHS: [8 * 256] * 4}),
        tiff(*STRIPS, tags={**OF_STRIPS, ROWS: []}),
        tiff(*STRIPS, tags={**OF_STRIPS, ROWS: 0}),
        tiff(*TILED[:11], tags=OF_TILES),
        tiff(*TILED[:11], tags={**OF_TILES, 256: 250}),
        tiff(*TILED[:11], NOISE[:0], tags=OF_TILES),
        tiff(TILED[0][:15], *TILED[1:], tags=OF_TILES),
        tiff(NOISE, NOISE, tags={SAMPLES: 3, BITS: [8, 8, 8]}),
        tiff(NOISE, NOISE, NOISE[:39]),
        tiff(PACKED[:20], PACKED[20:], tags={**IN_TWO, LENGTHS: [20 * 92, 20 * 92 - 1]}),
    ],
    ids=[
        "a strip less",
        "a strip more",
        "a sparse strip",
        "a sparse strip, no lengths",
        "a short strip",
        "a length less",
        "one strip expected",
        "strips of no rows",
        "a tile less",
        "a tile less of an image that ends within one",
        "a sparse tile",
        "a short tile",
        "a plane less",
        "a short plane",
        "a byte less of 12 bits",
    ],
)
def test_strips_and_tiles_that_are_missing_or_short_are_damage(upload: bytes) -> None:
    with pytest.raises(NotAnImageError, match="the TIFF file is damaged or cut short"):
        decode(upload, max_pixels=LIMIT)


@pytest.mark.parametrize(
    "upload",
    [
        tiff(PACKED, tags=OF_TWELVE_BITS),
        tiff(PACKED[:20], PACKED[20:], tags={**IN_TWO, LENGTHS: [20 * 92] * 2}),
    ],
)
def test_rows_of_twelve_bits_end_at_a_whole_byte(upload: bytes) -> None:
    assert decode(upload, max_pixels=LIMIT).size == (61, 40)


def place_of_entry(file: bytes, tag: int, order: Literal["<", ">"] = "<") -> int:
    """Return where a tag stands in the directory of a file that :func:`tiff` has written."""
    return file.index(struct.pack(f"{order}HH", tag, 4))


def with_directory_last(file: bytes, order: Literal["<", ">"]) -> bytes:
    """Return a TIFF with a copy of its directory at its end, and that in its place."""
    (count,) = struct.unpack_from(f"{order}H", file, 8)
    directory = file[8 : 8 + 2 + 12 * count + 4]
    return file[:4] + struct.pack(f"{order}I", len(file)) + file[8:] + directory


OF_FLOATS: dict[int, int | list[int]] = {PLANAR: 1, SAMPLE_FORMAT: 3}
FLOATS = (RAMP - 128).astype(np.float32)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_directory_that_is_cut_short_is_damage(order: Literal["<", ">"]) -> None:
    whole = with_directory_last(tiff(FLOATS, order=order, tags=OF_FLOATS), order)
    assert first_row(whole) == list(range(256))
    assert first_row(whole[:-4]) == list(range(256))  # it lacks but the place of the next page
    for cut in range(5, 4 + 11 * 12 + 2):
        with pytest.raises(NotAnImageError):
            decode(whole[:-cut], max_pixels=LIMIT)


NOTE, THRESHOLDING, PRIVATE = 270, 263, 65000


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # at which Pillow stops
def test_a_value_beyond_the_file_is_damage_if_tags_of_the_pixels_follow() -> None:
    for tag, is_harmless in ((NOTE, False), (PRIVATE, True)):
        file = tiff(FLOATS, tags={**OF_FLOATS, COMPRESSION: 8, tag: [1, 2]})
        value = place_of_entry(file, tag) + 8
        lost = file[:value] + struct.pack("<I", len(file) - 7) + file[value + 4 :]
        assert first_row(file) == list(range(256))
        if is_harmless:
            assert first_row(lost) == list(range(256))
        else:
            with pytest.raises(NotAnImageError, match="the TIFF file is damaged or cut short"):
                decode(lost, max_pixels=LIMIT)


@pytest.mark.parametrize(("tag", "is_harmless"), [(SAMPLE_FORMAT, False), (PRIVATE, True)])
def test_a_type_that_pillow_does_not_know_is_damage_where_it_tells_of_the_pixels(
    tag: int, is_harmless: bool
) -> None:
    file = tiff(FLOATS, tags={**OF_FLOATS, PRIVATE: 1})
    kind = place_of_entry(file, tag) + 2
    unknown = file[:kind] + struct.pack("<H", 17) + file[kind + 2 :]
    if is_harmless:
        assert first_row(unknown) == list(range(256))
    else:
        with pytest.raises(NotAnImageError, match="the TIFF file is damaged or cut short"):
            decode(unknown, max_pixels=LIMIT)


def test_what_tells_of_the_pixels_twice_is_damage() -> None:
    file = tiff(BYTES, tags={PLANAR: 1, THRESHOLDING: 0})
    again = place_of_entry(file, THRESHOLDING)
    twice = file[:again] + struct.pack("<H", PHOTOMETRIC) + file[again + 2 :]
    with pytest.raises(NotAnImageError, match="the TIFF file is damaged or cut short"):
        decode(twice, max_pixels=LIMIT)


def test_a_tag_of_no_numbers_is_none() -> None:
    file = tiff(BYTES, tags={PLANAR: 1, EXTRA_SAMPLES: 0})
    numbers = place_of_entry(file, EXTRA_SAMPLES) + 4
    assert first_row(file[:numbers] + bytes(4) + file[numbers + 4 :]) == list(range(256))


@pytest.mark.parametrize("compression", [1, 8], ids=["none", "Deflate"])
def test_gray_that_was_multiplied_by_its_alpha_lies_over_black_already(compression: int) -> None:
    # TIFF 6.0, section 18: associated alpha; of alpha 128, gray is half of what it was, of 0 it is nothing
    alpha = np.tile(np.repeat(np.array([255, 128, 0], np.uint8), 20), (40, 1))
    gray = (np.linspace(0, 255, 60).round() * alpha / 255).round().astype(np.uint8)
    tags: dict[int, int | list[int]] = {256: 60, BITS: [8, 8], SAMPLES: 2, EXTRA_SAMPLES: 1}
    pixels = np.stack([gray, alpha], axis=2).reshape(40, 120)

    found = first_row(tiff(pixels, tags={**tags, PLANAR: 1, COMPRESSION: compression}))

    assert np.abs(np.subtract(found, gray[0])).max() <= 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_samples_that_pillow_has_no_mode_for_are_told_from_damage() -> None:
    unknown = tiff(DEEP, order=">", tags={PLANAR: 1, PHOTOMETRIC: 0})
    with pytest.raises(UnsupportedFormatError, match="got one whose samples are of another kind"):
        decode(unknown, max_pixels=LIMIT)
    for damaged in (unknown[:40], b"MM\0*" + bytes(40), b"II*\0"):
        with pytest.raises(NotAnImageError):
            decode(damaged, max_pixels=LIMIT)


def big_tiff(width: int, bits: int, order: Literal["<", ">"]) -> bytes:
    """Return a black BigTIFF of one strip, 40 pixels high."""
    tags = {256: width, 257: 40, BITS: bits, COMPRESSION: 1, PHOTOMETRIC: 1, OFFSETS: 0, LENGTHS: 0}
    data = bytes(width * 40 * bits // 8)
    begin = 16 + 8 + 20 * len(tags) + 8
    tags |= {OFFSETS: begin, LENGTHS: len(data)}
    entries = [struct.pack(f"{order}HHQQ", tag, 16, 1, value) for tag, value in tags.items()]
    head = MAGIC[order] + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(tags))
    return head + b"".join(entries) + bytes(8) + data


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_kinds_that_pillow_does_not_open_are_told_from_damage() -> None:
    assert decode(big_tiff(60, 8, "<"), max_pixels=LIMIT).size == (60, 40)
    for file, kind in (
        (
            big_tiff(60, 64, "<"),
            "one whose samples are of another kind, or lie otherwise; save the",
        ),
        (big_tiff(60, 8, ">"), "a BigTIFF whose numbers begin with the highest byte; save the"),
    ):
        with pytest.raises(UnsupportedFormatError, match=f"got {kind} image as PNG"):
            decode(file, max_pixels=LIMIT)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [34887, 34712, 50002, 34933])
def test_a_compression_that_pillow_does_not_know_is_told_from_damage(
    compression: int, order: Literal["<", ">"]
) -> None:
    # LERC, JPEG 2000, JPEG XL and PNG
    file = tiff(BYTES, order=order, tags={PLANAR: 1, COMPRESSION: compression})
    with pytest.raises(UnsupportedFormatError, match="got one that is compressed in a way that is"):
        decode(file, max_pixels=LIMIT)
    with pytest.raises(NotAnImageError):
        decode(file[:40], max_pixels=LIMIT)


def test_lzma_is_refused_as_its_file_says_how_much_memory_it_takes() -> None:
    image = Image.fromarray(np.zeros((40, 256), np.uint8))
    assert first_row(encoded(image, "TIFF", compression="tiff_deflate")) == [0] * 256
    with pytest.raises(UnsupportedFormatError, match="got one packed by LZMA"):
        decode(encoded(image, "TIFF", compression="lzma"), max_pixels=LIMIT)


def test_webp_is_refused_as_libtiff_comes_without_it() -> None:
    with pytest.raises(UnsupportedFormatError, match="got one packed by WebP; save the image"):
        decode(WEBP_IN_TIFF, max_pixels=LIMIT)


def test_jpeg_of_twelve_bits_is_read_where_no_column_is_lost() -> None:
    samples = np.add.outer(np.arange(32) * 40, np.arange(32) * 60)
    read = np.asarray(decode(DEEP_JPEG_IN_TIFF, max_pixels=LIMIT).image).astype(int)
    assert np.abs(read - samples * 255 / samples.max()).max() <= 2  # it is lossy
    with pytest.raises(
        UnsupportedFormatError, match=r"an even width .* save the image as 16-bit PNG"
    ):
        decode(DEEP_JPEG_OF_ODD_WIDTH_IN_TIFF, max_pixels=LIMIT)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
def test_ordinary_files_are_read(mode: str, compression: str) -> None:
    image = Image.fromarray(gradient()).convert(mode)
    row = first_row(encoded(image, "TIFF", compression=compression))
    assert row == [int(each) for each in np.asarray(image.convert("L"))[0]]


def with_tag(
    tag: int, kind: int, count: int, order: Literal["<", ">"], *, big: bool = False
) -> bytes:
    """Return a TIFF, or a BigTIFF, of nothing but a tag of so many numbers."""
    start = (
        struct.pack(f"{order}2sHHHQQ", MAGIC[order], 43, 8, 0, 16, 1)
        if big
        else struct.pack(f"{order}2sHIH", MAGIC[order], 42, 8, 1)
    )
    entry = struct.pack(f"{order}HHQQ" if big else f"{order}HHII", tag, kind, count, 64)
    return start + entry + bytes(8 + 4 * count)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_more_numbers_than_any_writer_has_use_for_are_found(
    order: Literal["<", ">"], big: bool
) -> None:
    # Pillow takes the big-endian kind of BigTIFF for a classic TIFF, and finds no directory
    is_read = not (big and order == ">")
    byte, short, long, undefined = 1, 3, 4, 7
    for tag, kind in ((OFFSETS, short), (OFFSETS, byte), (TILES, long), (BITS, short)):
        assert has_too_many_numbers(with_tag(tag, kind, 200_000, order, big=big)) == is_read
        assert not has_too_many_numbers(with_tag(tag, kind, 199_998, order, big=big))
    assert not has_too_many_numbers(with_tag(ICC, undefined, 1_000_000, order, big=big))


def test_numbers_that_are_not_in_the_file_do_not_count() -> None:
    assert not has_too_many_numbers(with_tag(TILES, 4, 200_000, "<")[:1000])


def test_a_directory_whose_place_is_of_no_known_type_is_passed_over() -> None:
    assert not has_too_many_numbers(with_tag(EXIF, 99, 1, "<"))


def test_numbers_of_exif_count() -> None:
    file = with_tag(EXIF, 4, 1, "<")
    directory = with_tag(33434, 5, 300_000, "<")[8:] + bytes(4 * 300_000)
    beyond = file[:18] + struct.pack("<I", len(file)) + file[22:]

    assert has_too_many_numbers(beyond + directory)
    assert not has_too_many_numbers(beyond)


def test_a_directory_that_leads_to_itself_is_not_followed_for_ever() -> None:
    file = with_tag(EXIF, 4, 1, "<")
    assert has_too_many_numbers(file[:18] + struct.pack("<I", 8) + file[22:])


def test_a_directory_of_more_tags_than_there_are_is_found() -> None:
    assert has_too_many_numbers(b"II\x2b\0\x08\0\0\0" + struct.pack("<QQ", 16, 200_001))


def test_a_file_of_millions_of_tiles_is_refused_before_they_are_read() -> None:
    number = 3_000_000
    tags = {256: 64, 257: 64, BITS: 8, COMPRESSION: 1, PHOTOMETRIC: 1, 277: 1, 322: 32, 323: 32}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    begin = 8 + 2 + 12 * 9 + 4
    entries.append(struct.pack("<HHII", TILES, 3, number, begin))
    start = struct.pack("<2sHIH", b"II", 42, 8, 9) + b"".join(entries) + bytes(4)

    def memory() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    file = start + struct.pack("<H", begin) * number
    before = memory()
    with pytest.raises(NotAnImageError, match="at most 200000 numbers in its tags"):
        decode(file, max_pixels=LIMIT)
    assert memory() - before < 100e6  # to open it took 750 MB


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no TIFF's pixels be read."""

    def load(_: object) -> None:
        raise AssertionError("to read them takes minutes or gigabytes")

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", load)


PACKED_PLANE: dict[int, int | list[int]] = {**ONE_PLANE, COMPRESSION: 8, ROWS: []}


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize(
    ("width", "rows"), [(48, 44_000_000), (44_000_000, 48), (2049, 48), (48, 2049)]
)
def test_tiles_far_larger_than_the_image_are_refused_before_they_are_unpacked(
    width: int, rows: int
) -> None:
    tags = {**PACKED_PLANE, 256: 40, TILE_WIDTH: width, TILE_ROWS: rows}
    with pytest.raises(NotAnImageError, match="got tiles that are far larger; save the image"):
        decode(tiff(np.zeros((1, 1000), np.uint8), tags=tags), max_pixels=LIMIT)


@pytest.mark.usefixtures("unread")
def test_tiles_are_found_by_their_sides_as_libtiff_finds_them() -> None:
    tags = {**PACKED_PLANE, 256: 40, TILE_WIDTH: 48, TILE_ROWS: 44_000_000}
    file = tiff(np.zeros((1, 1000), np.uint8), tags=tags)
    for tile, strip in ((TILES, OFFSETS), (TILE_LENGTHS, LENGTHS)):
        file = file.replace(struct.pack("<HH", tile, 4), struct.pack("<HH", strip, 4))
    with pytest.raises(NotAnImageError, match="got tiles that are far larger"):
        decode(file, max_pixels=LIMIT)


@pytest.mark.parametrize(
    ("size", "width", "rows", "orientation"),
    [
        ((40, 40), 48, 48, 1),
        ((40, 40), 2048, 2048, 1),
        ((2049, 300), 2064, 304, 1),
        ((2049, 300), 2064, 304, 6),
        ((300, 2049), 304, 2064, 6),
    ],
)
def test_tiles_that_hold_the_image_or_are_of_a_usual_size_are_read(
    size: tuple[int, int], width: int, rows: int, orientation: int
) -> None:
    tile = np.full((rows, width), 7, np.uint8)
    tags = {**PACKED_PLANE, 256: size[0], 257: size[1], TILE_WIDTH: width, TILE_ROWS: rows}

    found = np.asarray(decode(tiff(tile, tags={**tags, 274: orientation}), max_pixels=LIMIT).image)

    assert found.shape == (size[::-1] if orientation == 1 else size)
    assert (found == 7).all()


def of_shared_data(strips: list[NDArray[np.uint8]], length: int) -> bytes:
    """Return a TIFF in which so many bytes behind the begin of each strip belong to it, other strips or not."""
    lengths = [length] * len(strips)
    tags = {**PACKED_PLANE, ROWS: len(strips[0]), LENGTHS: lengths}
    return tiff(*strips, tags=tags) + bytes(length)


@pytest.mark.usefixtures("unread")
def test_strips_that_share_their_data_are_refused_before_they_are_unpacked() -> None:
    rows = [NOISE[top : top + 1] for top in range(40)]
    with pytest.raises(NotAnImageError, match="strips or tiles have data of their own, got one in"):
        decode(of_shared_data(rows, 20_000), max_pixels=LIMIT)


def test_strips_that_share_little_are_read() -> None:
    # as many bytes as there are pixels
    file = of_shared_data([np.zeros_like(NOISE[:8])] * 5, 8 * 256)
    assert len(file) < 40 * 256
    assert not np.asarray(decode(file, max_pixels=LIMIT).image).any()


def test_one_strip_may_seem_longer_than_the_file() -> None:
    file = tiff(NOISE, tags={PLANAR: 1, COMPRESSION: 8, LENGTHS: 2**32 - 1}) + bytes(200_000)
    np.testing.assert_array_equal(np.asarray(decode(file, max_pixels=LIMIT).image), NOISE)


def test_a_tiff_that_is_cut_anywhere_is_looked_through() -> None:
    for order in MAGIC:
        file = tiff(DEEP, order=order)
        for length in range(200):
            assert not has_too_many_numbers(file[:length])
