import struct
import zlib
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from orchestrator.errors import NotAnImageError, UnsupportedFormatError
from orchestrator.imaging import decode
from tests.support.images import encoded, gradient

LIMIT = 1_000_000
BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 258, 259, 262, 266
OFFSETS, PLANAR, EXTRA_SAMPLES, SAMPLE_FORMAT = 273, 284, 338, 339
NO_TAGS: Final[Mapping[int, int]] = MappingProxyType({})
RAMP = np.tile(np.arange(256), (40, 1))


def tiff(
    *planes: NDArray[Any], order: Literal["<", ">"] = "<", tags: Mapping[int, int] = NO_TAGS
) -> bytes:
    """Write planes as TIFF 6.0 says, a strip each, with these values of tags in the place of the usual ones."""
    height, width = planes[0].shape
    compress = zlib.compress if tags.get(COMPRESSION) == 8 else bytes
    strips = [compress(plane.astype(plane.dtype.newbyteorder(order)).tobytes()) for plane in planes]
    count = len(planes)
    values: dict[int, list[int]] = {
        256: [width],
        257: [height],
        BITS: [planes[0].dtype.itemsize * 8] * count,
        COMPRESSION: [1],
        PHOTOMETRIC: [1 if count == 1 else 2],
        OFFSETS: [0] * count,
        277: [count],
        278: [height],
        279: [len(strip) for strip in strips],
        PLANAR: [2],
    }
    for tag, value in tags.items():
        values[tag] = [value] * len(values.get(tag, [value]))
    start = 8 + 2 + 12 * len(values) + 4
    beyond = 4 * sum(len(each) for each in values.values() if len(each) > 1)
    ends = accumulate((len(strip) for strip in strips), initial=start + beyond)
    values[OFFSETS] = list(ends)[:-1]
    entries, more = b"", b""
    for tag, each in sorted(values.items()):
        long = struct.pack(f"{order}{len(each)}I", *each)
        at = struct.pack(f"{order}I", start + len(more))
        entries += struct.pack(f"{order}HHI", tag, 4, len(each)) + (long if len(each) == 1 else at)
        more += long if len(each) > 1 else b""
    magic = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(values))
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
        tiff(BYTES, BYTES | 255, tags={COMPRESSION: 8, PHOTOMETRIC: 1, EXTRA_SAMPLES: 2}),
    ],
    ids=[
        "RGB",
        "RGB, big-endian",
        "RGB, Deflate",
        "gray",
        "white is zero",
        "bits reversed",
        "float",
        "gray and alpha, Deflate",
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


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_samples_that_pillow_has_no_mode_for_are_told_from_damage() -> None:
    unknown = tiff(DEEP, order=">", tags={PLANAR: 1, PHOTOMETRIC: 0})
    with pytest.raises(UnsupportedFormatError, match="got one whose samples are of another kind"):
        decode(unknown, max_pixels=LIMIT)
    for damaged in (unknown[:40], b"MM\0*" + bytes(40), b"II*\0"):
        with pytest.raises(NotAnImageError):
            decode(damaged, max_pixels=LIMIT)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
def test_ordinary_files_are_read(mode: str, compression: str) -> None:
    image = Image.fromarray(gradient()).convert(mode)
    row = first_row(encoded(image, "TIFF", compression=compression))
    assert row == [int(each) for each in np.asarray(image.convert("L"))[0]]
