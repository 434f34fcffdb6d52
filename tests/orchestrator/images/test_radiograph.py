import hashlib
import struct
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from orchestrator import errors
from orchestrator.images.radiograph import Radiograph, decode, model_input
from orchestrator.settings import Settings
from tests.support.cards import card
from tests.support.images import (
    ORIENTATION,
    chunk,
    encoded,
    gradient,
    png,
    png_header_claiming,
    png_of_lines,
)

LIMIT = 1_000_000


def pixels(upload: bytes) -> Any:
    return np.asarray(decode(upload, max_pixels=LIMIT).image)


@pytest.mark.parametrize(
    ("file_format", "mode", "tolerance"),
    [
        ("PNG", "L", 0),
        ("PNG", "RGB", 0),
        ("PNG", "P", 0),
        ("PNG", "LA", 0),
        ("PNG", "RGBA", 0),
        ("BMP", "L", 0),
        ("BMP", "RGB", 0),
        ("TIFF", "L", 0),
        ("TIFF", "RGB", 0),
        ("TIFF", "CMYK", 0),
        ("JPEG", "L", 3),
        ("JPEG", "RGB", 3),
        ("JPEG", "CMYK", 3),
        ("WEBP", "RGB", 6),
        ("WEBP", "RGBA", 6),
    ],
)
def test_the_same_gray_values_come_out_of_every_format_and_mode(
    file_format: str, mode: str, tolerance: int
) -> None:
    image = Image.fromarray(gradient()).convert(mode)
    found = pixels(encoded(image, file_format))
    assert found.shape == (40, 60)
    assert np.abs(found.astype(int) - gradient()).max() <= tolerance


def test_one_bit_images_become_black_and_white() -> None:
    image = Image.fromarray(gradient() > 127)
    found = pixels(encoded(image, "PNG"))
    assert found[0, 0] == 0
    assert found[0, -1] == 255


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_the_range_that_occurs(file_format: str) -> None:
    # a 12-bit image in 16 bits: 0..4095; the middle column of 3 is at 2048 / 4095 of the range
    samples = np.zeros((40, 60), np.uint16)
    samples[:, 20:40] = 2048
    samples[:, 40:] = 4095
    found = pixels(encoded(Image.fromarray(samples), file_format))
    assert (found[0, 0], found[0, 30], found[0, 59]) == (0, 128, 255)


def twelve_bits() -> NDArray[np.uint16]:
    """Return rows of 0 to 4080 in steps of 16, a radiograph of 12 bits: they become 0 to 255."""
    return np.tile(np.arange(256, dtype=np.uint16) * 16, (40, 1))


def sixteen_bit_png(samples: NDArray[np.uint16], colour_type: int) -> bytes:
    """Write samples ``[H, W, C]`` as PNG 3rd edition, 11.2 says."""
    height, width, _ = samples.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    return png_of_lines(lines, (width, height), 16, colour_type)


def with_chunk(file: bytes, kind: bytes, data: bytes) -> bytes:
    """Put a chunk between a PNG's header and its data."""
    return file[:33] + chunk(kind, data) + file[33:]


def tiff(samples: NDArray[Any], byte_order: str) -> bytes:
    """Write unsigned samples ``[H, W, C]``, RGB or gray, as TIFF 6.0 says, in one strip without compression."""
    height, width, channels = samples.shape
    bits = samples.dtype.itemsize * 8
    data: bytes = samples.astype(f"{byte_order}u{samples.dtype.itemsize}").tobytes()
    after = 8 + 2 + 12 * 10 + 4
    short, long = 3, 4
    entries = [
        (256, short, 1, width),
        (257, short, 1, height),
        (258, short, channels, bits if channels == 1 else after),
        (259, short, 1, 1),
        (262, short, 1, 1 if channels == 1 else 2),
        (273, long, 1, after + 2 * channels),
        (277, short, 1, channels),
        (278, short, 1, height),
        (279, long, 1, len(data)),
        (284, short, 1, 1),
    ]
    directory = b"".join(
        struct.pack(byte_order + "HHI", tag, kind, count)
        + (
            struct.pack(byte_order + "HH", value, 0)
            if kind == short and count == 1
            else struct.pack(byte_order + "I", value)
        )
        for tag, kind, count, value in entries
    )
    magic = {"<": b"II", ">": b"MM"}[byte_order] + struct.pack(byte_order + "HI", 42, 8)
    start = magic + struct.pack(byte_order + "H", len(entries)) + directory + bytes(4)
    return b"".join((start, struct.pack(byte_order + "H", bits) * channels, data))


@pytest.mark.parametrize(
    ("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)], ids=["L", "RGB", "LA", "RGBA"]
)
def test_pngs_of_sixteen_bits_keep_them_whatever_their_channels(
    colour_type: int, channels: int
) -> None:
    samples = np.stack([twelve_bits()] * channels, axis=2)
    if channels in (2, 4):
        samples[..., -1] = 65535

    assert pixels(sixteen_bit_png(samples, colour_type))[0].tolist() == list(range(256))


@pytest.mark.parametrize("compression", [1, 5, 8], ids=["none", "LZW", "Deflate"])
def test_tiffs_of_sixteen_bit_colour_keep_them(compression: int) -> None:
    colour = np.stack([twelve_bits()] * 3, axis=2)
    done, file = cv2.imencode(".tiff", colour, [cv2.IMWRITE_TIFF_COMPRESSION, compression])

    assert done
    assert pixels(file.tobytes())[0].tolist() == list(range(256))


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_tiffs_of_sixteen_bits_are_read_in_either_order_of_bytes(byte_order: str) -> None:
    for channels in (1, 3):
        samples = np.stack([twelve_bits()] * channels, axis=2)
        assert pixels(tiff(samples, byte_order))[0].tolist() == list(range(256))


def test_colour_of_sixteen_bits_becomes_luma() -> None:
    # 60000 of red, green and blue each, black and white: ITU-R BT.601 has 0.299, 0.587 and 0.114 of them
    row = np.zeros((5, 3), np.uint16)
    row[0, 0] = row[1, 1] = row[2, 2] = 60000
    row[4] = 60000
    samples = np.tile(np.repeat(row, 12, axis=0), (40, 1, 1))

    assert pixels(sixteen_bit_png(samples, 2))[0, ::12].tolist() == [76, 150, 29, 0, 255]


def test_deep_pixels_that_are_half_transparent_become_half_as_bright() -> None:
    samples = np.full((40, 60, 2), 65535, np.uint16)
    samples[:, 20:40, 1] = 32768
    samples[:, 40:, 1] = 0

    assert pixels(sixteen_bit_png(samples, 4))[0, ::20].tolist() == [255, 128, 0]


@pytest.mark.parametrize("orientation", [1, 6])
def test_deep_colour_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    plain = sixteen_bit_png(np.stack([twelve_bits()] * 3, axis=2), 2)
    turned = with_chunk(plain, b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))

    assert pixels(turned).shape == ((40, 256) if orientation == 1 else (256, 40))
    assert (pixels(turned)[0, 0], pixels(turned)[-1, -1]) == (0, 255)


def test_unsigned_tiffs_of_thirty_two_bits_do_not_wrap_around() -> None:
    samples = (np.arange(256, dtype=np.uint32) * 16_843_009)[None, :, None].repeat(40, axis=0)

    assert pixels(tiff(samples, "<"))[0].tolist() == list(range(256))


@pytest.mark.parametrize("offset", [2**31, 2**32 - 256])
def test_shades_of_thirty_two_bits_are_told_apart_far_from_zero(offset: int) -> None:
    samples = (offset + np.arange(256, dtype=np.uint32))[None, :, None].repeat(40, axis=0)

    assert pixels(tiff(samples, "<"))[0].tolist() == list(range(256))


def test_an_image_of_exactly_as_many_pixels_as_are_allowed_is_read() -> None:
    upload = png(gradient(60, 40))
    assert decode(upload, max_pixels=2400).size == (60, 40)
    with pytest.raises(errors.TooManyPixelsError, match="at most 2399 pixels, got 60 x 40"):
        decode(upload, max_pixels=2399)


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_what_can_not_be_read_as_it_is_meant_is_refused(mode: str) -> None:
    if mode == "LAB":
        upload = encoded(Image.new("LAB", (60, 40)), "TIFF")
    else:
        done, file = cv2.imencode(".tiff", np.zeros((40, 60, 4), np.uint16))
        assert done
        upload = file.tobytes().replace(
            struct.pack("<HHI2H", 262, 3, 1, 2, 0), struct.pack("<HHI2H", 262, 3, 1, 5, 0)
        )
    with pytest.raises(errors.UnsupportedFormatError, match="save the image as"):
        decode(upload, max_pixels=LIMIT)


def test_a_bmp_of_sixteen_bits_a_pixel_is_read() -> None:
    # 16 of 31, 32 of 63 and 16 of 31 are 131, 129 and 131 of 255, whose luma is 130
    row = np.repeat(np.array([0, 16 << 11 | 32 << 5 | 16, 0xFFFF], "<u2"), 20)
    head = struct.pack("<IiiHHIIiiII", 40, 60, -40, 1, 16, 3, 0, 0, 0, 0, 0)
    masks = struct.pack("<III", 31 << 11, 63 << 5, 31)
    file = b"BM" + struct.pack("<IHHI", 0, 0, 0, 66) + head + masks + row.tobytes() * 40

    assert pixels(file)[0, ::20].tolist() == [0, 130, 255]


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [((0, 0, 0), [50, 128, 255]), ((255, 255, 255), [50, 128, 255]), ((0, 255, 0), [0, 128, 0])],
)
def test_the_alpha_of_a_bmp_counts_if_it_is_set_anywhere(
    alpha: tuple[int, int, int], expected: list[int]
) -> None:
    # BITMAPV5HEADER, with masks of blue, green, red and alpha, a byte each
    row = np.array(
        [[shade] * 3 + [each] for shade, each in zip((50, 128, 255), alpha, strict=True)]
    )
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII4I", 124, 60, -40, 1, 32, 3, 0, 0, 0, 0, 0, *masks)
    lines = row.astype(np.uint8).repeat(20, axis=0).tobytes() * 40
    file = b"BM" + struct.pack("<IHHI", 0, 0, 0, 138) + head.ljust(124, b"\0") + lines

    assert pixels(file)[0, ::20].tolist() == expected


def test_other_formats_may_be_transparent_everywhere() -> None:
    rgba = np.full((40, 60, 4), 200, np.uint8)
    rgba[..., 3] = 0
    assert not pixels(png(rgba)).any()


def test_a_full_ramp_of_sixteen_bits_keeps_all_its_shades() -> None:
    samples = np.tile(np.linspace(0, 65535, 256).round().astype(np.uint16), (40, 1))
    assert pixels(png(samples))[0].tolist() == list(range(256))


def test_a_flat_image_of_sixteen_bits_is_black_rather_than_an_error() -> None:
    assert pixels(png(np.full((40, 60), 30000, np.uint16))).max() == 0


def test_floating_point_tiffs_are_scaled_too() -> None:
    samples = np.tile(np.linspace(-1, 1, 60).astype(np.float32), (40, 1))
    found = pixels(encoded(Image.fromarray(samples), "TIFF"))
    assert (found[0, 0], found[0, 59]) == (0, 255)


def test_samples_that_are_not_finite_are_refused() -> None:
    samples = np.full((40, 60), np.nan, np.float32)
    with pytest.raises(errors.UnsupportedFormatError, match="NaN"):
        pixels(encoded(Image.fromarray(samples), "TIFF"))


@pytest.mark.parametrize("ends", [(0, 1e-40), (-3e38, 3e38)])
def test_ranges_that_can_not_be_scaled_are_refused(ends: tuple[float, float]) -> None:
    samples = np.tile(np.linspace(*ends, 60).astype(np.float32), (40, 1))
    with pytest.raises(errors.UnsupportedFormatError, match="differ by"):
        pixels(encoded(Image.fromarray(samples), "TIFF"))


def test_a_tiff_in_which_white_is_zero_is_turned_round() -> None:
    # Pillow inverts 8-bit samples on writing as on reading, but stores 16-bit ones as they are
    eight = encoded(Image.fromarray(gradient()), "TIFF", tiffinfo={262: 0})
    sixteen = encoded(Image.fromarray(gradient().astype(np.uint16)), "TIFF", tiffinfo={262: 0})
    assert (pixels(eight)[0, 0], pixels(eight)[0, -1]) == (0, 255)
    assert (pixels(sixteen)[0, 0], pixels(sixteen)[0, -1]) == (255, 0)


def test_what_is_transparent_becomes_black() -> None:
    rgba = np.full((40, 60, 4), 200, np.uint8)
    rgba[:, :30, 3] = 0
    rgba[:, 30:, 3] = 255
    found = pixels(png(rgba))
    assert (found[0, 0], found[0, 59]) == (0, 200)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)], ids=["gray", "RGB"])
def test_the_sample_that_a_deep_png_calls_transparent_becomes_black(
    colour_type: int, channels: int
) -> None:
    # PNG 3rd edition, 11.3.1.1: a border of 65535 would leave the 12 bits of the radiograph 16 shades
    samples = np.pad(
        np.stack([twelve_bits()] * channels, axis=2),
        ((9, 0), (0, 0), (0, 0)),
        constant_values=65535,
    )
    plain = sixteen_bit_png(samples, colour_type)

    found = pixels(with_chunk(plain, b"tRNS", b"\xff\xff" * channels))

    assert found[:9].max() == 0
    assert found[9].tolist() == list(range(256))
    assert pixels(plain)[9].max() == 16


def test_colour_is_transparent_only_where_all_its_samples_are_the_ones_named() -> None:
    samples = np.full((40, 60, 3), 0x1234, np.uint16)
    samples[:, 20:40, 2] = 0x1235
    samples[:, 40:, 0] = 0x1334
    named = with_chunk(sixteen_bit_png(samples, 2), b"tRNS", b"\x12\x34" * 3)

    assert (pixels(named)[0, ::20] > 0).tolist() == [False, True, True]


@pytest.mark.parametrize(("bits", "step"), [(1, 255), (2, 85), (4, 17), (8, 1)])
def test_the_shade_that_a_shallow_png_calls_transparent_becomes_black(bits: int, step: int) -> None:
    # every shade in turn, the brightest of which is transparent
    count = min(2**bits, 64)
    shades = np.tile(np.arange(2**bits - count, 2**bits), (64, 64 // count))
    each = [np.unpackbits(line.astype(np.uint8)[:, None], axis=1)[:, -bits:] for line in shades]
    lines = b"".join(b"\0" + np.packbits(line).tobytes() for line in each)
    plain = png_of_lines(lines, (64, 64), bits)

    found = pixels(with_chunk(plain, b"tRNS", bytes([0, 2**bits - 1])))

    np.testing.assert_array_equal(pixels(plain), shades * step)
    np.testing.assert_array_equal(found, np.where(shades == 2**bits - 1, 0, shades * step))


# Where the bright top left corner of the stored pixels belongs once upright: (bottom?, right?), from
# the table of the orientation tag in EXIF 2.32, 4.6.4.A.
UPRIGHT_CORNER = {
    1: (False, False),
    2: (False, True),
    3: (True, True),
    4: (True, False),
    5: (False, False),
    6: (False, True),
    7: (True, True),
    8: (True, False),
}


@pytest.mark.parametrize("orientation", UPRIGHT_CORNER)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation_is_honoured(file_format: str, orientation: int) -> None:
    stored = np.zeros((40, 60), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(stored).convert("RGB")
    found = pixels(encoded(image, file_format, exif=exif))
    assert found.shape == ((40, 60) if orientation < 5 else (60, 40))
    bottom, right = UPRIGHT_CORNER[orientation]
    assert found[-4 if bottom else 3, -4 if right else 3] > 200
    assert found[-4 if not bottom else 3, -4 if not right else 3] < 50


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"MM", b"", b"XX\0*\0\0\0\x08", b"MM\0*\0\0\0\x08\0\x01"])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "JPEG with its resolution", "WEBP"])
def test_broken_exif_says_nothing_of_an_image_that_is_whole(file_format: str, exif: bytes) -> None:
    image = Image.fromarray(gradient())
    if file_format == "PNG":
        broken = with_chunk(png(gradient()), b"eXIf", exif)
    elif file_format == "WEBP":
        broken = encoded(image, "WEBP", exif=exif, quality=100)
    else:  # without a resolution, Pillow looks for one in Exif
        resolution = {"dpi": (300, 300)} if "resolution" in file_format else {}
        broken = encoded(image, "JPEG", exif=b"Exif\0\0" + exif, quality=100, **resolution)
    assert np.abs(pixels(broken).astype(int) - gradient()).max() <= 3


PEAK = """
import sys
from orchestrator.images.radiograph import decode

def most() -> int:
    lines = dict(line.split(":") for line in open("/proc/self/status"))
    return int(lines["VmHWM"].split()[0]) * 1024

file = sys.stdin.buffer.read()
before = most()
decode(file, max_pixels=40_000_000)
print(most() - before)
"""


@pytest.mark.parametrize(
    ("kind", "most"),
    [("gray", 4), ("deep gray", 5), ("RGBA", 7), ("palette", 4), ("CMYK", 7), ("deep alpha", 11)],
)
def test_decoding_takes_little_memory_beside_the_pixels_themselves(kind: str, most: int) -> None:
    """Hold each kind to what Pillow's pixels and the gray ones take, and two bytes a pixel to spare."""
    side = 3000
    flat = Image.new("L", (side, side), 100)
    upload = {
        "gray": lambda: encoded(flat, "PNG"),
        "deep gray": lambda: png(np.full((side, side), 1000, np.uint16)),
        "RGBA": lambda: encoded(flat.convert("RGBA"), "PNG"),
        "palette": lambda: encoded(flat.convert("P"), "PNG", transparency=b"\x80" * 256),
        "CMYK": lambda: encoded(flat.convert("CMYK"), "JPEG"),
        "deep alpha": lambda: sixteen_bit_png(np.full((side, side, 2), 1000, np.uint16), 4),
    }[kind]()
    done = subprocess.run(
        [sys.executable, "-c", PEAK], input=upload, capture_output=True, check=True
    )

    assert int(done.stdout) < most * side * side


def test_metadata_is_dropped() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("PatientName", "DOE^JANE")
    upload = encoded(Image.fromarray(gradient()), "PNG", pnginfo=text)
    assert decode(upload, max_pixels=LIMIT).image.info == {}


def damaged(file_format: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    whole = encoded(Image.fromarray(noise), file_format)
    return whole[: len(whole) // 2]


def frames(file_format: str) -> bytes:
    first, second = Image.fromarray(gradient()), Image.fromarray(255 - gradient())
    return encoded(first, file_format, save_all=True, append_images=[second])


@pytest.mark.parametrize(
    ("upload", "error"),
    [
        (b"", errors.EmptyFileError),
        (b"not an image, just text", errors.NotAnImageError),
        (b"\x89PNG\r\n\x1a\n", errors.NotAnImageError),
        (damaged("PNG"), errors.NotAnImageError),
        (damaged("JPEG"), errors.NotAnImageError),
        (damaged("TIFF"), errors.NotAnImageError),
        (damaged("BMP"), errors.NotAnImageError),
        (damaged("WEBP"), errors.NotAnImageError),
        (frames("TIFF"), errors.MultipleFramesError),
        (frames("PNG"), errors.MultipleFramesError),
        (frames("WEBP"), errors.MultipleFramesError),
        (frames("GIF"), errors.UnsupportedFormatError),
        (bytes(128) + b"DICM" + bytes(100), errors.UnsupportedFormatError),
        (png_header_claiming(30_000, 30_000), errors.TooManyPixelsError),
        (png_header_claiming(2_000, 2_000), errors.TooManyPixelsError),
        (png(gradient(60, 8)), errors.ImplausibleSizeError),
        (png(gradient(40, 400)), errors.ImplausibleSizeError),
    ],
)
def test_what_is_no_radiograph_is_refused(upload: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(upload, max_pixels=LIMIT)


def test_every_bound_that_can_be_set_is_the_one_that_counts() -> None:
    most = Settings.from_mapping({"MAX_PIXELS": str(Image.MAX_IMAGE_PIXELS)}).max_pixels
    width = 9000
    # Let through, and without a warning
    with pytest.raises(errors.NotAnImageError, match="cut short"):
        decode(png_header_claiming(width, most // width), max_pixels=most)


def test_the_pages_of_a_tiff_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(_: object) -> int:
        raise AssertionError("their number takes time with its square")

    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "n_frames", property(count))
    with pytest.raises(errors.MultipleFramesError):
        decode(frames("TIFF"), max_pixels=LIMIT)


def test_squashing_takes_the_whole_image() -> None:
    wide = np.zeros((40, 80), np.uint8)
    wide[:, 40:] = 255
    found = model_input(
        Radiograph(Image.fromarray(wide), ""), card(resize="squash", input_height=8, input_width=8)
    )
    assert found.shape == (8, 8)
    assert found[:, :3].max() == 0
    assert found[:, 5:].min() == 255


def test_cropping_takes_the_centre() -> None:
    wide = np.zeros((40, 80), np.uint8)
    wide[:, 20:60] = 255
    found = model_input(
        Radiograph(Image.fromarray(wide), ""), card(resize="crop", input_height=8, input_width=8)
    )
    assert found.min() == 255


def test_rows_stay_rows_where_the_input_is_not_square() -> None:
    tall = np.zeros((80, 40), np.uint8)
    tall[40:] = 255
    found = model_input(Radiograph(Image.fromarray(tall), ""), card(input_height=8, input_width=4))
    assert found.shape == (8, 4)
    assert found[:3].max() == 0
    assert found[5:].min() == 255


def test_the_digest_is_of_the_uploaded_bytes() -> None:
    upload = png(gradient())
    found = decode(upload, max_pixels=LIMIT).sha256
    assert found == hashlib.sha256(upload).hexdigest()
