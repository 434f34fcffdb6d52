import io
import time

import numpy as np
import pytest
from PIL import Image

from orchestrator import errors
from orchestrator.imaging import decode
from orchestrator.jpeg import has_too_many_segments
from tests.support.images import encoded, gradient

LIMIT = 40_000_000
SCAN = b"\xff\xda"


def progressive(side: int = 64) -> bytes:
    return encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True)


def with_scans(file: bytes, count: int) -> bytes:
    """Repeat the last scan of a progressive JPEG until it has so many."""
    last = file[file.rindex(SCAN) : -2]
    return file[:-2] + last * (count - file.count(SCAN)) + file[-2:]


def of_frame(marker: int, bits: int) -> bytes:
    """Return a JPEG whose frame is of this kind (B.2.2), by its header."""
    file = encoded(Image.fromarray(gradient()), "JPEG")
    return file.replace(b"\xff\xc0\0\x0b\x08", bytes([0xFF, marker, 0, 11, bits]))


def test_a_jpeg_of_nothing_but_scans_is_refused_before_they_are_read() -> None:
    file = with_scans(progressive(4000), 5000)
    assert len(file) < 300_000

    begin = time.monotonic()
    with pytest.raises(errors.NotAnImageError, match="at most 100 scans"):
        decode(file, max_pixels=LIMIT)
    assert time.monotonic() - begin < 2


def test_as_many_scans_as_are_allowed_are_read() -> None:
    assert decode(with_scans(progressive(), 100), max_pixels=LIMIT).size == (64, 64)
    with pytest.raises(errors.NotAnImageError, match="scans"):
        decode(with_scans(progressive(), 101), max_pixels=LIMIT)


def test_a_jpeg_of_nothing_but_segments_is_refused() -> None:
    file = progressive()
    comments = b"\xff\xfe\0\2" * 10_000
    with pytest.raises(errors.NotAnImageError, match="segments"):
        decode(file[:2] + comments + file[2:], max_pixels=LIMIT)


@pytest.mark.parametrize("stray", [b"\xff", b"\0", b"\xff\0"])
def test_a_jpeg_of_nothing_but_stray_bytes_is_refused_before_they_are_passed_over(
    stray: bytes,
) -> None:
    file, strays = progressive(), stray * 1_000_000
    tables = file.index(b"\xff\xdb")
    for many in (file[:tables] + strays + file[tables:], file[:tables] + strays):
        assert has_too_many_segments(many)
    assert not has_too_many_segments(file[:tables] + strays[:1000] + file[tables:])
    assert not has_too_many_segments(file + strays)


def test_scans_are_found_behind_whatever_a_decoder_passes_over() -> None:
    file = progressive()
    first = file.index(SCAN)
    # a reserved marker is no segment: its "length" would lead past all scans
    for extra in (b"\xff" * 9, b"\xff\xd0", b"\xff\0", b"\xff\x02\xff\xff"):
        many = with_scans(file[:first] + extra + file[first:], 200)
        assert has_too_many_segments(many)


def test_what_looks_like_scans_in_metadata_or_behind_the_image_does_not_count() -> None:
    file = encoded(Image.fromarray(gradient()), "JPEG", comment=SCAN * 1000) + SCAN * 1000
    assert np.asarray(decode(file, max_pixels=LIMIT).image).shape == (40, 60)


@pytest.mark.parametrize("parameters", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_ordinary_jpegs_are_read(parameters: dict[str, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    file = encoded(Image.fromarray(noise), "JPEG", **parameters)
    with Image.open(io.BytesIO(file)) as image:
        image.draft("L", image.size)
        expected = np.asarray(image)

    np.testing.assert_array_equal(np.asarray(decode(file, max_pixels=LIMIT).image), expected)


def test_a_jpeg_that_is_cut_anywhere_is_looked_through() -> None:
    file = progressive()
    for length in range(len(file)):
        assert not has_too_many_segments(file[:length])


@pytest.mark.parametrize(
    ("upload", "kind"),
    [
        (of_frame(0xC1, 12), "a JPEG of 12 bits a sample; convert it to 16-bit PNG"),
        (of_frame(0xC3, 16), "a JPEG of 16 bits a sample; convert it to 16-bit PNG"),
        (of_frame(0xF7, 8), "a JPEG-LS image; convert it to"),
        (b"\xff\x0a\x7f\x40" + bytes(100), "a JPEG XL image; convert it to"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100), "a JPEG XL image; convert it to"),
    ],
)
def test_kinds_of_jpeg_that_are_not_read_are_called_what_they_are(upload: bytes, kind: str) -> None:
    with pytest.raises(errors.UnsupportedFormatError, match=kind):
        decode(upload, max_pixels=LIMIT)


def test_a_damaged_jpeg_of_eight_bits_is_called_damaged() -> None:
    with pytest.raises(errors.NotAnImageError):
        decode(of_frame(0xC0, 8)[:60], max_pixels=LIMIT)
