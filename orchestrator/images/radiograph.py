"""Turn an upload into an upright 8-bit radiograph, and a radiograph into the model's input.

This module owns Pillow's decoders: whatever they raise on hostile bytes leaves here as one of the
project's errors.
"""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.MpoImagePlugin import MpoImageFile

from gradcam.placement import place
from orchestrator.errors import (
    EmptyFileError,
    ImplausibleSizeError,
    MultipleFramesError,
    NotAnImageError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from orchestrator.images.deep_colour import Box, deep_colour
from orchestrator.images.jpeg import (
    MOST_SCANS,
    MOST_SEGMENTS,
    has_equal_pictures,
    has_too_many_segments,
    is_lossless,
    unread_kind,
)
from orchestrator.images.png import (
    MOST_CHUNKS,
    are_data_intact,
    decode_plain,
    has_too_many_chunks,
    scale_transparency,
    without_compressed_extras,
)
from orchestrator.images.tiff import (
    MOST_NUMBERS,
    has_huge_tiles,
    has_shared_data,
    has_too_many_numbers,
    is_inverted,
    is_unsigned,
    lacks_samples,
    lacks_tags,
    refuse_unsound,
    unread_tiff,
)
from serving.contract import ModelCard

ACCEPTED_FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
ACCEPTED_TEXT: Final = "PNG, JPEG, TIFF, BMP or WebP"

MIN_SIDE: Final = 32
MAX_ASPECT: Final = 8

# The quick decoder holds Python's global lock, some 3 ms a million pixels; larger files go to Pillow's, which doesn't.
_MAX_QUICK_PIXELS: Final = 8_000_000

# Formats people do send, by the bytes they begin with (offset, magic, name), so that the answer can say what came.
_FOREIGN: Final = (
    (128, b"DICM", "a DICOM file"),
    (0, b"GIF8", "a GIF"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypavif", "an AVIF image"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
)

# What Pillow's decoders raise on damaged files, as seen by feeding them such files.
_DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)

# Those among them that broken Exif brings about
_EXIF_ERRORS: Final = (
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
)

_PICTURES: Final = 0xB002  # MPEntry (CIPA DC-007, 5.2.3.3)

_BAND_PIXELS: Final = 2**18

_OPAQUE: Final = 255

# EXIF 2.32, 4.6.4.A
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Within these, float32 scales any range without overflow.
_LEAST_SPAN: Final = 1e-30
_MOST_SPAN: Final = 1e30


@dataclass(frozen=True)
class Radiograph:
    """One view, upright.

    Attributes:
        image: Pillow image of mode ``L``, 8 bits, without metadata.
        sha256: Digest of the uploaded bytes, hexadecimal.
    """

    image: Image.Image = field(repr=False)
    sha256: str

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return self.image.size


def decode(upload: bytes, *, max_pixels: int) -> Radiograph:
    """Decode an uploaded file, honouring EXIF orientation.

    Samples of more than 8 bits are scaled by the range that occurs in the image; alpha is laid over
    black, but for that of a BMP that is 0 everywhere; colour becomes luma (ITU-R BT.601); metadata is dropped.

    Raises:
        EmptyFileError: There are no bytes.
        NotAnImageError: The bytes are no image, or a damaged one.
        UnsupportedFormatError: The file is of another format, or its samples are of an unknown kind.
        MultipleFramesError: The file holds an animation or several pages.
        TooManyPixelsError: The image is larger than ``max_pixels``; found before decoding.
        ImplausibleSizeError: The image is too small or too narrow to be a radiograph.
    """
    if not upload:
        raise EmptyFileError(
            f"expected {ACCEPTED_TEXT}, got a file of 0 bytes; send the image itself"
        )
    digest = sha256(upload).hexdigest()
    _refuse_endless(upload)
    upload = without_compressed_extras(upload)
    image = _open(upload, max_pixels)
    _check_size(image.size, max_pixels)
    try:
        if isinstance(image, MpoImageFile):
            image = _first_picture(image, upload)
        # not n_frames: counting a TIFF's pages takes time with the square of their number
        if getattr(image, "is_animated", False):
            raise MultipleFramesError(
                "expected one image, got a file of several frames or pages; send each on its own"
            )
        if lacks_tags(image, upload):
            raise _damaged(image.format)
        _refuse_endless_parts(image, len(upload))
        refuse_unsound(image)
        if image.format == "JPEG" and not is_lossless(upload):
            image.draft("L", image.size)  # decodes luma only; without effect on CMYK
        if (plain := _plain(image, upload)) is not None:
            return Radiograph(plain, digest)
        if lacks_samples(image) or (image.format == "PNG" and not are_data_intact(upload)):
            raise _damaged(image.format)
        gray = _upright(_to_gray(image, upload), image)
    except _DECODER_ERRORS as err:
        raise _damaged(image.format) from err
    return Radiograph(gray, digest)


def model_input(radiograph: Radiograph, card: ModelCard) -> NDArray[np.uint8]:
    """Resize a radiograph to the model's input as its card says; uint8 ``[H, W]``, values 0 to 255."""
    size = (card.input_width, card.input_height)
    placement = place(card.resize, radiograph.size, size)
    # resize(box=…) would let pixels from outside the box bleed into the edge
    whole = placement.box == (0, 0, *radiograph.size)
    seen = radiograph.image if whole else radiograph.image.crop(placement.box)
    # Pillow's antialiased bilinear, as docs/models.md tells the owners of models, for training with the same
    return np.asarray(seen.resize(size, Image.Resampling.BILINEAR))


def _plain(image: Image.Image, upload: bytes) -> Image.Image | None:
    """Return an upload that is a plain gray PNG, decoded, or None."""
    if image.format != "PNG" or image.mode != "L":
        return None
    if image.width * image.height > _MAX_QUICK_PIXELS:
        return None
    pixels = decode_plain(upload, image.size)
    return None if pixels is None else Image.fromarray(pixels)


def _open(upload: bytes, max_pixels: int) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(upload), formats=ACCEPTED_FORMATS)
    except UnidentifiedImageError as err:
        for offset, magic, name in _FOREIGN:
            if upload[offset : offset + len(magic)] == magic:
                raise UnsupportedFormatError(
                    f"expected {ACCEPTED_TEXT}, got {name}; convert it to PNG and send that"
                ) from err
        if (kind := unread_kind(upload)) is not None:
            raise UnsupportedFormatError(
                f"expected {ACCEPTED_TEXT}, a JPEG of 8 bits a sample, got {kind}; convert it to 16-bit PNG and send"
                " that"
            ) from err
        if (kind := unread_tiff(upload)) is not None:
            raise UnsupportedFormatError(
                f"expected a TIFF of gray or RGB, 8 or 16 bits a sample, got {kind}; save the image as PNG and send"
                " that"
            ) from err
        raise NotAnImageError(
            f"expected {ACCEPTED_TEXT}, got bytes that are none of them, or a damaged file"
        ) from err
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise _too_many_pixels("far more", max_pixels) from err
    except _DECODER_ERRORS as err:
        raise NotAnImageError(
            f"expected {ACCEPTED_TEXT}, got a damaged file; send it again"
        ) from err


def _first_picture(file: MpoImageFile, upload: bytes) -> JpegImageFile:
    """Return the first picture of a JPEG that has previews of it beside, as cameras and telephones write them."""
    _, *others = (file.mpinfo or {})[_PICTURES]
    if has_equal_pictures(upload, ((each["DataOffset"], each["Size"]) for each in others)):
        raise MultipleFramesError(
            "expected one image, got a JPEG of several pictures that are about as large as the first; send each as a"
            " JPEG of its own"
        )
    return JpegImageFile(io.BytesIO(upload))


def _refuse_endless(upload: bytes) -> None:
    """Refuse small files of so many parts that to read them would take minutes or gigabytes."""
    if has_too_many_chunks(upload):
        raise NotAnImageError(
            f"expected a PNG of at most {MOST_CHUNKS} chunks, got more; save the image anew"
        )
    if has_too_many_segments(upload):
        raise NotAnImageError(
            f"expected a JPEG of at most {MOST_SCANS} scans and {MOST_SEGMENTS} segments, got more; save the image anew"
        )
    if has_too_many_numbers(upload):
        raise NotAnImageError(
            f"expected a TIFF of at most {MOST_NUMBERS} numbers in its tags, got more; save the image as PNG"
        )


def _refuse_endless_parts(image: Image.Image, length: int) -> None:
    """Refuse a TIFF of few pixels that are so cut into parts that to unpack these would take minutes or gigabytes."""
    if has_huge_tiles(image):
        raise NotAnImageError(
            "expected a TIFF whose tiles are about as large as the image, or smaller, got tiles that are far larger;"
            " save the image as PNG"
        )
    if has_shared_data(image, length):
        raise NotAnImageError(
            "expected a TIFF whose strips or tiles have data of their own, got one in which they share them; save the"
            " image as PNG"
        )


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise _too_many_pixels(f"{width} x {height}", max_pixels)
    if min(size) < MIN_SIDE or max(size) > MAX_ASPECT * min(size):
        raise ImplausibleSizeError(
            f"expected a radiograph of at least {MIN_SIDE} pixels on each side, the longer at most {MAX_ASPECT} times"
            f" the shorter, got {width} x {height}"
        )


def _too_many_pixels(found: str, max_pixels: int) -> TooManyPixelsError:
    return TooManyPixelsError(
        f"expected at most {max_pixels} pixels, got {found}; send a smaller copy,"
        " or ask the operator to raise MAX_PIXELS"
    )


def _damaged(file_format: str | None) -> NotAnImageError:
    return NotAnImageError(
        f"the {file_format} file is damaged or cut short; send it again, or save it anew as PNG"
    )


def _to_gray(image: ImageFile.ImageFile, upload: bytes) -> Image.Image:
    """Return an ``L`` image without metadata, whatever the mode."""
    if (luma := deep_colour(image, upload)) is not None:
        return _scale_by_range(luma, image.size, inverted=is_inverted(image))
    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        samples = partial(_deep_samples, image)
        return _scale_by_range(samples, image.size, inverted=is_inverted(image))
    if image.mode == "LAB":
        raise UnsupportedFormatError(
            "expected gray or RGB, got colours of CIELAB; save the image as PNG and send that"
        )
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getbbox() is None:
        image.putalpha(_OPAQUE)  # of writers that name alpha's bits and leave them 0
    scale_transparency(image, upload)
    if image.mode == "L" and not image.has_transparency_data:
        gray = image.copy()
        gray.info = {}
        return gray
    gray = Image.new("L", image.size)
    for band in _bands(image.size):
        gray.paste(_opaque(image.crop(band)).convert("L"), band)
    return gray


def _upright(gray: Image.Image, file: Image.Image) -> Image.Image:
    try:
        orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
    except _EXIF_ERRORS:  # the image is whole all the same
        return gray
    turn = _TURNS.get(orientation)
    return gray if turn is None else gray.transpose(turn)


def _bands(size: tuple[int, int]) -> Iterator[Box]:
    """Cut an image into bands of rows, so that what is made on the way to gray is small beside it."""
    width, height = size
    step = max(1, _BAND_PIXELS // width)
    for top in range(0, height, step):
        yield 0, top, width, min(top + step, height)


def _opaque(image: Image.Image) -> Image.Image:
    """Lay an image over black, where it is transparent."""
    if not image.has_transparency_data:
        return image
    if image.mode == "La":  # gray that is multiplied by its alpha, which becomes nothing but LA
        image = image.convert("LA")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)


def _deep_samples(image: Image.Image, band: Box) -> NDArray[np.floating]:
    deep = np.asarray(image.crop(band))
    if is_unsigned(image):
        deep = deep.view(np.uint32)
    # float32 would merge shades of 32 bits that lie close together far from zero
    exact: type[np.floating] = np.float64 if image.mode == "I" else np.float32
    samples = deep.astype(exact)
    if (transparent := image.info.get("transparency")) is not None:
        samples[deep == transparent] = 0
    return samples


def _scale_by_range(
    samples: Callable[[Box], NDArray[np.floating]], size: tuple[int, int], *, inverted: bool
) -> Image.Image:
    """Scale deep samples linearly so that the darkest becomes 0 and the brightest 255.

    Args:
        samples: Gives those of a band, in an array that is the caller's.
        size: Width and height.
        inverted: Whether the darkest is to become 255.
    """
    low, high = _range(samples, size)
    span = high - low
    if span and not _LEAST_SPAN < span < _MOST_SPAN:
        raise UnsupportedFormatError(
            f"expected samples that differ by {_LEAST_SPAN:g} to {_MOST_SPAN:g}, got {span:g}; save the image as"
            " 16-bit PNG"
        )
    gray = np.empty(size[::-1], np.uint8)
    for band in _bands(size):
        scaled = samples(band)
        scaled -= low
        scaled *= 255.0 / span if span else 0.0
        if inverted:
            np.subtract(255.0, scaled, out=scaled)
        gray[band[1] : band[3]] = np.rint(scaled, out=scaled)
    return Image.fromarray(gray)


def _range(
    samples: Callable[[Box], NDArray[np.floating]], size: tuple[int, int]
) -> tuple[float, float]:
    """Return the lowest and the highest of an image's samples."""
    low, high = math.inf, -math.inf
    for band in _bands(size):
        found = samples(band)
        if not np.isfinite(found).all():
            raise UnsupportedFormatError(
                "expected finite samples, got NaN or infinity; save the image as 16-bit PNG"
            )
        low, high = min(low, float(found.min())), max(high, float(found.max()))
    return low, high
