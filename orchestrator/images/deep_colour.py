"""Read colour of 16 bits a sample, of which Pillow keeps the upper 8: a radiograph of 12 bits would come out black."""

import io
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from orchestrator.errors import UnsupportedFormatError

Box = tuple[int, int, int, int]  # left, top, right, bottom

_DEEP: Final = (";16L", ";16B", ";16N")  # without a letter, 16 bits are those of a whole pixel
_NATIVE: Final = "L" if sys.byteorder == "little" else "B"
_OTHER: Final = {"L": "B", "B": "L"}
# Read as if it were 8-bit RGBA, a pixel of gray and alpha shows its four bytes: the second and fourth are the lower.
_GRAY_WITH_ALPHA: Final = "LA;16B"
_ITS_BYTES: Final = ("RGBA", (1, 1, 1, 3))
_LUMA: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601
_ALPHA: Final = 3
_FULL: Final = np.float32(65535)


def deep_colour(
    image: ImageFile.ImageFile, file: bytes
) -> Callable[[Box], NDArray[np.float32]] | None:
    """Return what gives the luma of colour of 16 bits, laid over black where it is transparent; None for other images.

    Args:
        image: The file as Pillow opened it, not loaded yet.
        file: Its bytes.

    Returns:
        A function of a part of the image, that is ``[H, W]``, values 0 to 65535, with the orientation still to be
        honoured.

    Raises:
        UnsupportedFormatError: The colour is of another kind than RGB, RGBA or gray with alpha.
    """
    raw = _raw_mode(image.tile)
    if not raw.endswith(_DEEP) or image.mode.startswith("I"):
        return None
    lower_mode, order = _lower(raw)
    with Image.open(io.BytesIO(file), formats=[str(image.format)]) as again:
        again.tile = [_with_raw_mode(tile, lower_mode) for tile in again.tile]
        again.load()
    image.load()
    return partial(_luma, image, again, order)


def _luma(
    upper_bytes: Image.Image, lower_bytes: Image.Image, order: tuple[int, ...], part: Box
) -> NDArray[np.float32]:
    upper, lower = np.asarray(upper_bytes.crop(part)), np.asarray(lower_bytes.crop(part))
    channels = [
        _samples(upper[..., channel], lower[..., order[channel]])
        for channel in range(upper.shape[2])
    ]
    luma = np.zeros(upper.shape[:2], np.float32)
    for samples, weight in zip(channels, _LUMA, strict=False):
        luma += samples * np.float32(weight)
    if len(channels) > _ALPHA:
        luma *= channels[_ALPHA] / _FULL
    if (transparent := upper_bytes.info.get("transparency")) is not None:
        hidden = [samples == each for samples, each in zip(channels, transparent, strict=True)]
        luma[np.logical_and.reduce(hidden)] = 0
    return luma


def _lower(raw: str) -> tuple[str, tuple[int, ...]]:
    """Return how Pillow unpacks the lower bytes, by the other order of bytes, and in which channel each then is."""
    if raw == _GRAY_WITH_ALPHA:
        return _ITS_BYTES
    kind, order = raw[:-4], raw[-1]
    order = order.replace("N", _NATIVE)
    if kind not in ("RGB", "RGBA") or order not in _OTHER:
        raise UnsupportedFormatError(
            "expected colour of 8 bits, or RGB of 16 bits, got another kind of deep colour; save the image as"
            " 16-bit gray PNG"
        )
    return f"{kind};16{_OTHER[order]}", (0, 1, 2, 3)


def _samples(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.float32]:
    samples = upper.astype(np.float32)
    samples *= 256
    samples += lower
    return samples


def _raw_mode(tiles: list[ImageFile._Tile]) -> str:
    """Return how Pillow unpacks a file's samples; the first of a decoder's arguments, where there are several."""
    if not tiles:
        return ""
    arguments = tiles[0].args
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _with_raw_mode(tile: ImageFile._Tile, raw: str) -> ImageFile._Tile:
    return tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw)
