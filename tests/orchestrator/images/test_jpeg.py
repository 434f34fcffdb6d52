import io
import time

import numpy as np
import pytest
from PIL import Image

from orchestrator import errors
from orchestrator.images.jpeg import has_equal_pictures, has_too_many_segments
from orchestrator.images.radiograph import decode
from tests.support.foreign_files import LOSSLESS_JPEG
from tests.support.images import ORIENTATION, encoded, gradient

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


def test_lossless_colours_become_luma() -> None:
    red, green = np.meshgrid(np.arange(33) * 7, np.arange(32) * 8)
    luma = 0.299 * red + 0.587 * green + 0.114 * 100  # ITU-R BT.601
    read = np.asarray(decode(LOSSLESS_JPEG, max_pixels=10_000).image)
    assert np.abs(read - luma).max() <= 1


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


FIRST = Image.fromarray(gradient())


def of_pictures(*sizes: tuple[int, int], **parameters: object) -> bytes:
    """Return a JPEG of :data:`FIRST` and white pictures of these sizes, with their index (CIPA DC-007)."""
    others = [Image.new("L", size, 255) for size in sizes]
    return encoded(FIRST, "MPO", save_all=True, append_images=others, **parameters)


@pytest.mark.parametrize("sizes", [[(30, 20)], [(42, 28)], [(30, 20), (15, 10)]])
def test_the_first_picture_is_read_where_the_others_are_previews(
    sizes: list[tuple[int, int]],
) -> None:
    found = decode(of_pictures(*sizes), max_pixels=LIMIT).image
    alone = decode(encoded(FIRST, "JPEG"), max_pixels=LIMIT).image
    np.testing.assert_array_equal(np.asarray(found), np.asarray(alone))


@pytest.mark.parametrize("sizes", [[(60, 40)], [(120, 80)], [(43, 28)], [(30, 20), (40, 60)]])
def test_pictures_about_as_large_as_the_first_are_refused(sizes: list[tuple[int, int]]) -> None:
    with pytest.raises(errors.MultipleFramesError, match="got a JPEG of several pictures that are"):
        decode(of_pictures(*sizes), max_pixels=LIMIT)


def test_pictures_that_only_the_index_tells_of_do_not_count() -> None:
    file = of_pictures((60, 40))
    first = file[: file.rindex(b"\xff\xd8\xff")]
    found = np.asarray(decode(first, max_pixels=LIMIT).image)
    assert np.abs(np.subtract(found, gradient(), dtype=int)).max() <= 3
    with pytest.raises(errors.NotAnImageError, match="the JPEG file is damaged or cut short"):
        decode(first[:-50], max_pixels=LIMIT)


def test_the_first_of_several_pictures_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    found = np.asarray(decode(of_pictures((30, 20), exif=exif), max_pixels=LIMIT).image)
    assert found.shape == (60, 40)
    assert (found[0].max() < 10, found[-1].min() > 245) == (True, True)


def test_pictures_that_overlap_are_not_all_looked_through() -> None:
    file = of_pictures((30, 20))
    whole = (0, len(file))
    assert not has_equal_pictures(file, [whole])
    assert has_equal_pictures(file, [whole, whole])


def test_the_scans_of_a_first_picture_are_counted_as_those_of_any_jpeg() -> None:
    file = of_pictures((30, 20))
    scan = file[file.index(SCAN) : file.index(b"\xff\xd9")]
    many = file.replace(scan, scan * 101, 1)
    with pytest.raises(errors.NotAnImageError, match="at most 100 scans"):
        decode(many, max_pixels=LIMIT)
