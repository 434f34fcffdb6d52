"""Check the quick way through plain gray PNGs against Pillow's decoder."""

import io
import tracemalloc
import zlib
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from orchestrator import errors
from orchestrator.images.png import are_data_intact, decode_plain
from orchestrator.images.radiograph import decode
from tests.support.images import ORIENTATION, chunk, encoded, nih_files, png_of_lines

LIMIT = 10_000_000
SIZE = (60, 40)


def noise() -> Image.Image:
    gray = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0]), np.uint8)
    return Image.fromarray(gray)


def with_chunk(file: bytes, kind: bytes, data: bytes) -> bytes:
    """Put a chunk between a PNG's header and its data."""
    return file[:33] + chunk(kind, data) + file[33:]


@pytest.mark.parametrize("number", range(5))
def test_real_radiographs_have_the_pixels_that_pillow_decodes(number: int) -> None:
    file = nih_files()[number]
    with Image.open(file) as image:
        expected = np.asarray(image)

    found = decode_plain(file.read_bytes(), (1024, 1024))

    assert found is not None
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("filtering", range(5))
def test_every_filter_of_png_is_undone(filtering: int) -> None:
    # PNG 3rd edition, 9.2; written by hand, as Pillow chooses filters by itself
    gray = np.asarray(noise()).astype(int)
    left = np.pad(gray, ((0, 0), (1, 0)))[:, :-1]
    above = np.pad(gray, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(gray, ((1, 0), (1, 0)))[:-1, :-1]
    guess = left + above - corner
    near = [abs(guess - each) for each in (left, above, corner)]
    paeth = np.where(
        (near[0] <= near[1]) & (near[0] <= near[2]),
        left,
        np.where(near[1] <= near[2], above, corner),
    )
    predicted = [0 * gray, left, above, (left + above) // 2, paeth][filtering]
    lines = np.pad((gray - predicted) % 256, ((0, 0), (1, 0)), constant_values=filtering)
    file = png_of_lines(lines.astype(np.uint8).tobytes(), SIZE)

    found = decode_plain(file, SIZE)

    assert found is not None
    np.testing.assert_array_equal(found, gray)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (b"eXIf", b"Exif"),
        (b"tRNS", b"\0\1"),
        (b"acTL", b"\0\0\0\2\0\0\0\0"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        (b"zTXt", b"Raw profile type exif\0\0"),
        (b"prVt", b"of somebody's own"),
    ],
)
def test_a_file_with_anything_that_may_change_its_pixels_is_left_to_pillow(
    kind: bytes, data: bytes
) -> None:
    file = with_chunk(encoded(noise(), "PNG"), kind, data)

    assert decode_plain(file, SIZE) is None


@pytest.mark.parametrize(
    ("kind", "data"), [(b"tEXt", b"Software\0a scanner"), (b"gAMA", b"\0\0\xb1\x8f")]
)
def test_a_file_with_harmless_extras_is_decoded(kind: bytes, data: bytes) -> None:
    found = decode_plain(with_chunk(encoded(noise(), "PNG"), kind, data), SIZE)

    assert found is not None
    np.testing.assert_array_equal(found, np.asarray(noise()))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "RGBA", "I;16"])
def test_other_kinds_of_png_are_left_to_pillow(mode: str) -> None:
    image = noise().convert("I" if mode == "I;16" else mode)
    buffer = io.BytesIO()
    (image.convert("I;16") if mode == "I;16" else image).save(buffer, "PNG")

    assert decode_plain(buffer.getvalue(), SIZE) is None


def test_gray_of_fewer_bits_is_left_to_pillow() -> None:
    file = png_of_lines((b"\0" + bytes(range(0x10, 0x30))) * 32, (64, 32), bit_depth=4)

    assert decode_plain(file, (64, 32)) is None
    assert np.asarray(decode(file, max_pixels=LIMIT).image)[0, :4].tolist() == [17, 0, 17, 17]


def test_an_orientation_in_a_png_is_honoured_wherever_it_stands() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    plain = encoded(noise(), "PNG")
    first = with_chunk(plain, b"eXIf", data)
    last = plain[:-12] + chunk(b"eXIf", data) + plain[-12:]

    for file in (first, last):
        upright = decode(file, max_pixels=LIMIT).image
        np.testing.assert_array_equal(np.asarray(upright), np.rot90(np.asarray(noise()), -1))


def test_transparency_is_laid_over_black_as_before() -> None:
    file = encoded(Image.new("L", SIZE, 200), "PNG", transparency=200)

    assert not np.asarray(decode(file, max_pixels=LIMIT).image).any()


def test_metadata_is_dropped() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "name of a patient")

    assert decode(encoded(noise(), "PNG", pnginfo=text), max_pixels=LIMIT).image.info == {}


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "LA"])
def test_damaged_files_are_refused_whichever_byte_is_wrong(mode: str) -> None:
    """Flip bytes and cut ends: never a panic of the decoder, and never other pixels than were written."""
    file = encoded(noise().convert(mode), "PNG")
    whole = np.asarray(decode(file, max_pixels=LIMIT).image)
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(1500):
        damaged = bytearray(file)
        for position in rng.integers(8, len(file), 1 + number % 3):
            damaged[position] ^= int(rng.integers(1, 256))
        if number % 4 == 0:
            del damaged[int(rng.integers(9, len(file))) :]
        try:
            found = decode(bytes(damaged), max_pixels=LIMIT)
        except errors.RequestError:
            refused += 1
        else:
            np.testing.assert_array_equal(np.asarray(found.image), whole)
    assert refused > 1250


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("kind", "begin"),
    [(b"iCCP", b"Scanner\0\0"), (b"zTXt", b"Log\0\0"), (b"iTXt", b"Log\0\1\0\0\0")],
)
def test_a_large_profile_or_text_does_not_matter(mode: str, kind: bytes, begin: bytes) -> None:
    file = encoded(noise().convert(mode), "PNG")
    large = chunk(kind, begin + zlib.compress(bytes(2**20 + 1)))

    for whole in (file[:33] + large + file[33:], file[:-12] + large * 2 + file[-12:]):
        found = decode(whole, max_pixels=LIMIT)
        np.testing.assert_array_equal(np.asarray(found.image), np.asarray(noise()))
        assert found.sha256 == sha256(whole).hexdigest()


def test_a_file_of_nothing_but_chunks_is_refused_before_they_are_read() -> None:
    file = encoded(noise(), "PNG")
    with pytest.raises(errors.NotAnImageError, match="chunks"):
        decode(file[:33] + chunk(b"tIME", b"") * 100_000 + file[33:], max_pixels=LIMIT)


def test_a_wrong_checksum_of_pixels_is_refused() -> None:
    # The CRC of the last of IDAT stands before IEND, which takes 12 bytes; the pixels themselves are sound
    file = bytearray(encoded(noise(), "PNG"))
    file[-13] ^= 1

    with pytest.raises(errors.NotAnImageError, match="damaged"):
        decode(bytes(file), max_pixels=LIMIT)


def lines_of(size: tuple[int, int], bits: int, interlaced: bool) -> list[bytes]:
    """Return the unfiltered lines of a picture of pixels of so many bits, all set (PNG 3rd edition, 7.2 and 8.1)."""
    picture = np.ones(size[::-1], bool)
    # as in the example of 8.1: pixels of pass 1 are the first of eight columns and rows, and so on
    passes = (
        [
            picture[::8, ::8],
            picture[::8, 4::8],
            picture[4::8, ::4],
            picture[::4, 2::4],
            picture[2::4, ::2],
            picture[::2, 1::2],
            picture[1::2],
        ]
        if interlaced
        else [picture]
    )
    return [
        b"\0" + np.packbits(np.repeat(line, bits)).tobytes()
        for part in passes
        for line in part
        if line.size
    ]


def with_interlace(file: bytes) -> bytes:
    header = file[16:28] + b"\1"
    return file[:8] + chunk(b"IHDR", header) + file[33:]


@pytest.mark.parametrize("size", [(60, 40), (33, 32), (47, 61)])
@pytest.mark.parametrize(
    ("colour_type", "bit_depth", "bits"),
    [
        (0, 1, 1),
        (0, 4, 4),
        (0, 8, 8),
        (0, 16, 16),
        (2, 8, 24),
        (2, 16, 48),
        (4, 8, 16),
        (6, 16, 64),
    ],
)
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_file_of_fewer_rows_than_its_header_claims_is_refused(
    size: tuple[int, int], colour_type: int, bit_depth: int, bits: int, interlaced: bool
) -> None:
    lines = lines_of(size, bits, interlaced)

    def picture(data: bytes) -> bytes:
        file = png_of_lines(data, size, bit_depth, colour_type)
        return with_interlace(file) if interlaced else file

    whole = decode(picture(b"".join(lines)), max_pixels=LIMIT)
    assert np.unique(np.asarray(whole.image)).size == 1
    longer = decode(picture(b"".join(lines) + b"more"), max_pixels=LIMIT)
    assert longer.image.tobytes() == whole.image.tobytes()
    for short in (lines[:-1], lines[: len(lines) // 2], lines[:1], []):
        with pytest.raises(errors.NotAnImageError, match="damaged or cut short"):
            decode(picture(b"".join(short)), max_pixels=LIMIT)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (4, 5), (5, 1)])
def test_passes_without_pixels_have_no_lines(size: tuple[int, int]) -> None:
    data = b"".join(lines_of(size, 8, interlaced=True))

    assert are_data_intact(with_interlace(png_of_lines(data, size)))
    assert not are_data_intact(with_interlace(png_of_lines(data[:-1], size)))


@pytest.mark.parametrize("length", [1, 7, 1000])
def test_rows_are_counted_across_chunks_of_any_length(length: int) -> None:
    def in_chunks(lines: bytes) -> bytes:
        data = zlib.compress(lines)
        parts = [data[at : at + length] for at in range(0, len(data), length)]
        empty = png_of_lines(b"", SIZE)
        return empty[:33] + b"".join(chunk(b"IDAT", each) for each in parts) + empty[-12:]

    lines = (b"\0" + bytes(60)) * 40
    assert are_data_intact(in_chunks(lines))
    assert not are_data_intact(in_chunks(lines[:-1]))


def test_nothing_is_inflated_beyond_the_rows() -> None:
    stream = zlib.compressobj()
    more = stream.compress((b"\0" + bytes(60)) * 50) + stream.flush(zlib.Z_FULL_FLUSH)
    data = more + b"\xff is no block of Deflate"
    empty = png_of_lines(b"", SIZE)

    assert are_data_intact(empty[:33] + chunk(b"IDAT", data) + empty[-12:])
    with pytest.raises(zlib.error):
        zlib.decompressobj().decompress(data)


def test_rows_are_counted_without_being_kept() -> None:
    file = png_of_lines(bytes(4001 * 4000), (4000, 4000))
    tracemalloc.start()
    try:
        assert are_data_intact(file)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1e6
