"""Check that files hold the picture and nothing else."""

import io

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


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of jpeg, png, webp, got 'gif'"):
        encode(picture(), "gif")  # type: ignore[arg-type]
