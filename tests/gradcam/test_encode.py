"""Check that files hold the picture and nothing else."""

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gradcam.encode import FORMATS, Format, encode


def picture() -> Image.Image:
    """Return a smooth picture that carries all the metadata Pillow would write."""
    ramp = np.linspace(0, 255, 40 * 30 * 3).reshape(30, 40, 3).astype(np.uint8)
    image = Image.fromarray(ramp)
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    text = PngImagePlugin.PngInfo()
    text.add_text("Patient", "SECRET")
    image.info = {
        "exif": exif.tobytes(),
        "icc_profile": b"SECRET",
        "comment": b"SECRET",
        "dpi": (300, 300),
        "xmp": b"<SECRET/>",
        "pnginfo": text,
        "Patient": "SECRET",
    }
    return image


@pytest.mark.parametrize("format", FORMATS)
def test_files_reopen_with_the_same_pixels_nearly(format: Format) -> None:
    image = picture()

    with Image.open(io.BytesIO(encode(image, format))) as reopened:
        assert reopened.format == format.upper()
        assert Image.MIME[format.upper()] == FORMATS[format].media_type
        assert Image.registered_extensions()[FORMATS[format].extension] == format.upper()
        assert (reopened.mode, reopened.size) == ("RGB", image.size)
        difference = np.asarray(reopened).astype(int) - np.asarray(image)
        assert abs(difference).mean() <= (0 if format == "png" else 3)


@pytest.mark.parametrize("format", FORMATS)
def test_no_metadata_is_written(format: Format) -> None:
    content = encode(picture(), format)

    assert b"SECRET" not in content
    with Image.open(io.BytesIO(content)) as reopened:
        reopened.load()
        assert not reopened.getexif()
        assert set(reopened.info) <= {  # what Pillow reports of any JPEG or WebP
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "loop",
            "background",
            "timestamp",
            "duration",
        }


@pytest.mark.parametrize("format", FORMATS)
def test_the_picture_itself_is_not_changed(format: Format) -> None:
    image = picture()

    encode(image, format)

    assert image.info["comment"] == b"SECRET"


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_picture_gives_the_same_bytes(format: Format) -> None:
    assert encode(picture(), format) == encode(picture(), format)


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_a_side_may_be_as_long_as_the_format_allows_and_no_longer(format: Format) -> None:
    longest = FORMATS[format].longest_side
    with Image.open(io.BytesIO(encode(Image.new("L", (1, longest)), format))) as reopened:
        assert reopened.size == (1, longest)
    with pytest.raises((OSError, ValueError)):
        encode(Image.new("L", (1, longest + 1)), format)


def noise(side: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_left_of_a_longer_file_written_before(format: Format) -> None:
    small = noise(16, 1)
    written = io.BytesIO()
    small.save(written, format, **FORMATS[format].options)

    for side in (1500, 400):  # one larger than what is kept of memory, and one smaller
        encode(noise(side, 2), format)
        assert encode(small, format) == written.getvalue()


def test_a_picture_that_could_not_be_written_leaves_nothing() -> None:
    with pytest.raises(OSError, match="broken data stream"):
        encode(Image.new("L", (1, FORMATS["jpeg"].longest_side + 1)), "jpeg")

    with Image.open(io.BytesIO(encode(noise(16, 1), "jpeg"))) as reopened:
        reopened.load()
        assert reopened.size == (16, 16)


def test_threads_do_not_write_into_each_other_s_files() -> None:
    images = [noise(300 + number, number) for number in range(24)]
    alone = [encode(image, "jpeg") for image in images]

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda image: encode(image, "jpeg"), images))

    assert together == alone


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")
def test_a_thread_keeps_one_file_until_it_ends_and_little_memory() -> None:
    encode(noise(8, 0), "png")  # that of this thread
    before = memory_files()
    found: list[list[int]] = []

    def write() -> None:
        for side in (1500, 20, 1500):
            encode(noise(side, 0), "png")
        found.append(memory_files())

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()

    assert len(found[0]) == len(before) + 1
    assert max(found[0]) < 2**22
    assert memory_files() == before


def memory_files() -> list[int]:
    """Return the sizes of this process's files in memory."""
    files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    return sorted(
        file.stat().st_size for file in files if str(file.readlink()).startswith("/memfd:picture")
    )


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of jpeg, png, webp, got 'gif'"):
        encode(picture(), "gif")  # type: ignore[arg-type]
