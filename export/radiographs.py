"""Read a folder of radiographs to verify a servable on, as the pixels that it will be served.

The service decodes uploads by a module of the orchestrator's, which the exporter doesn't know: a test compares the two.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

from export.errors import ExportError
from gradcam.placement import place
from serving.contract import ModelCard

Pixels = np.ndarray[Any, np.dtype[np.uint8]]

_MOST: Final = 64
_SUFFIXES: Final = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
# What Pillow tells of damaged files by, and of ones of more pixels than it takes for sound.
_DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    Image.DecompressionBombError,
)
_WHITE_IS_ZERO: Final = 0  # TIFF 6.0, PhotometricInterpretation


def read_radiographs(folder: Path, card: ModelCard) -> Pixels:
    """Read up to 64 images, in the order of their names, brought to the model's input as its card says.

    Returns:
        uint8 ``[N, height, width, 1]``.

    Raises:
        ExportError: The folder holds no image, or one that cannot be read.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)[:_MOST]
    if not paths:
        raise ExportError(f"expected images ({', '.join(sorted(_SUFFIXES))}) in {folder}, got none")
    return np.stack([_read(path, card) for path in paths])


def _read(path: Path, card: ModelCard) -> Pixels:
    size = (card.input_width, card.input_height)
    try:
        with Image.open(path) as opened:
            gray = _decode(opened)
    except _DECODER_ERRORS as err:
        raise ExportError(f"expected an image, got {path}: {err}") from err
    seen = gray.crop(place(card.resize, gray.size, size).box)
    return np.asarray(seen.resize(size, Image.Resampling.BILINEAR))[:, :, None]


def _decode(opened: ImageFile.ImageFile) -> Image.Image:
    """Return what is in a file as the service sees it, upright and of mode ``L``."""
    deep = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PNG")
    if not deep and (opened.mode in ("F", "I", "LAB") or ";16" in str(opened.tile)):
        raise ValueError(
            "its samples are neither of 8 bits nor gray of 16; save it as 16-bit gray PNG"
        )
    if opened.mode in ("L", "I;16") and ";" in str(opened.tile) and "transparency" in opened.info:
        raise ValueError("one of its shades, of other than 8 bits, is transparent; save it without")
    if opened.format == "JPEG":
        opened.draft("L", opened.size)  # luma only
    inverted = (
        isinstance(opened, TiffImagePlugin.TiffImageFile)
        and opened.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    )
    image = ImageOps.exif_transpose(opened)
    if deep:
        return _scale_by_range(np.asarray(image, np.float32), inverted=inverted)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("L")


def _scale_by_range(samples: np.ndarray[Any, Any], *, inverted: bool) -> Image.Image:
    """Scale deep samples linearly so that the darkest becomes 0 and the brightest 255."""
    low, high = float(samples.min()), float(samples.max())
    scaled = (samples - np.float32(low)) * np.float32(255.0 / (high - low) if high > low else 0.0)
    return Image.fromarray(np.rint(255.0 - scaled if inverted else scaled).astype(np.uint8))
