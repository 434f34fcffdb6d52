"""Check that a servable is verified on the pixels that the service will send."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from export.errors import ExportError
from export.radiographs import read_radiographs
from orchestrator.images.radiograph import decode, model_input
from serving.contract import ModelCard, ResizeMode
from tests.support.cards import card
from tests.support.images import ORIENTATION, chunk, encoded, png_of_lines


def _gray() -> Image.Image:
    noise = np.random.default_rng(1).integers(0, 256, (90, 70), np.uint8)
    noise[:40] //= 3
    return Image.fromarray(noise)


def _deep() -> Image.Image:
    return Image.fromarray((np.asarray(_gray(), np.uint16) * 16 + 30000).astype(np.uint16))


def _colour(mode: str) -> Image.Image:
    bands = [_gray().rotate(5 * turn) for turn in range(len(mode))]
    return Image.merge(mode, bands)


def _rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned by 90° clockwise
    _gray().save(path, exif=exif)


def _white_is_zero(path: Path) -> None:
    _deep().save(path, tiffinfo={TiffImagePlugin.PHOTOMETRIC_INTERPRETATION: 0})


FILES: dict[str, Callable[[Path], None]] = {
    "gray.png": lambda path: _gray().save(path),
    "deep.png": lambda path: _deep().save(path),
    "deep.tif": lambda path: _deep().save(path),
    "white-is-zero.tif": _white_is_zero,
    "flat.png": lambda path: Image.new("I;16", (70, 90), 30000).save(path),
    "rotated.png": _rotated,
    "rotated.jpg": _rotated,
    "colour.jpg": lambda path: _colour("RGB").save(path),
    "inks.jpg": lambda path: _colour("CMYK").save(path),
    "alpha.png": lambda path: _colour("RGBA").save(path),
    "gray-alpha.png": lambda path: _colour("LA").save(path),
    "palette.png": lambda path: _colour("RGB").quantize(32).save(path),
    "bits.bmp": lambda path: _gray().convert("1").save(path),
    "colour.webp": lambda path: _colour("RGB").save(path),
}


def made_for(resize: ResizeMode) -> ModelCard:
    return card(input_height=24, input_width=32, resize=resize)


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("name", FILES)
def test_the_pixels_are_those_that_the_service_sends(
    name: str, resize: ResizeMode, tmp_path: Path
) -> None:
    FILES[name](tmp_path / name)
    upload = (tmp_path / name).read_bytes()
    served = model_input(decode(upload, max_pixels=10_000), made_for(resize))
    (read,) = read_radiographs(tmp_path, made_for(resize))
    np.testing.assert_array_equal(read[:, :, 0], served)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("float.tif", encoded(Image.fromarray(np.ones((40, 60), np.float32)), "TIFF")),
        ("lab.tif", encoded(_colour("LAB"), "TIFF")),
        ("deep-colour.png", png_of_lines(bytes(40 * (1 + 6 * 60)), (60, 40), 16, 2)),
    ],
    ids=["float", "CIELAB", "colour of 16 bits"],
)
def test_samples_that_the_service_reads_in_a_way_of_its_own_are_refused(
    name: str, file: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(file)
    with pytest.raises(ExportError, match=rf"{name}: its samples are neither of 8 bits"):
        read_radiographs(tmp_path, made_for("squash"))


@pytest.mark.parametrize("bits", [2, 4, 16])
def test_a_transparent_shade_of_other_than_eight_bits_is_refused(bits: int, tmp_path: Path) -> None:
    file = png_of_lines(bytes(40 * (1 + 60 * bits // 8)), (60, 40), bits)
    (tmp_path / "a.png").write_bytes(file[:33] + chunk(b"tRNS", b"\0\1") + file[33:])
    with pytest.raises(ExportError, match="is transparent; save it without"):
        read_radiographs(tmp_path, made_for("squash"))


@pytest.mark.parametrize(
    "change",
    [
        {256: (4, 40_000), 257: (4, 40_000)},
        {273: (5, 122)},
    ],
    ids=["far too many pixels", "a fraction for an offset"],
)
def test_whatever_pillow_raises_is_an_error_that_names_the_file(
    change: dict[int, tuple[int, int]], tmp_path: Path
) -> None:
    tags = {
        256: (4, 60),
        257: (4, 40),
        258: (3, 8),
        259: (3, 1),
        262: (3, 1),
        273: (4, 130),
        277: (3, 1),
    }
    entries = [
        struct.pack("<HHII", tag, kind, 1, value) for tag, (kind, value) in (tags | change).items()
    ]
    file = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(entries) + bytes(4)
    (tmp_path / "a.tif").write_bytes(file + struct.pack("<II", 130, 1) * 400)
    with pytest.raises(ExportError, match=r"expected an image, got .*a\.tif"):
        read_radiographs(tmp_path, made_for("squash"))


def test_a_folder_without_images_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"\.webp\) in .*, got none"):
        read_radiographs(tmp_path, made_for("squash"))
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ExportError, match=r"expected an image, got .*text\.png"):
        read_radiographs(tmp_path, made_for("squash"))
