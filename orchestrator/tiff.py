"""Tell what Pillow makes of a TIFF's samples, where that is not what they are (TIFF 6.0)."""

import io
import re
from typing import Final

from PIL import Image, TiffImagePlugin

from orchestrator.errors import UnsupportedFormatError

_WHITE_IS_ZERO: Final = 0  # PhotometricInterpretation
_UNSIGNED: Final = 1  # SampleFormat
_PLANE_BY_PLANE: Final = 2  # PlanarConfiguration
_HIGHEST_BIT_FIRST: Final = 1  # FillOrder
_BIG_ENDIAN: Final = re.compile(r";\d+B")


def refuse_misread(file: Image.Image) -> None:
    """Refuse a TIFF whose samples Pillow takes for others, without telling.

    Raises:
        UnsupportedFormatError: It is one.
    """
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return
    if file.mode == "L" and not _has_unsigned_samples(file):
        raise UnsupportedFormatError(
            "expected unsigned samples of 8 bits, got signed ones; save the image as PNG and send that"
        )
    # libtiff has put such samples into this processor's order before Pillow does so once more
    if _is_unpacked_by_libtiff(file) and _BIG_ENDIAN.search(str(file.tile[0].args)):
        raise UnsupportedFormatError(
            "expected unsigned samples, or a file without compression, got compressed samples of another kind that"
            " begin with the highest byte; save the image as PNG and send that"
        )
    apart = file.tag_v2.get(TiffImagePlugin.PLANAR_CONFIGURATION) == _PLANE_BY_PLANE
    if apart and not _is_read_plane_by_plane(file):
        raise UnsupportedFormatError(
            "expected a TIFF whose samples lie pixel by pixel, got one that has them plane by plane; save the image as"
            " PNG and send that"
        )


def has_unknown_samples(upload: bytes) -> bool:
    """Tell whether Pillow does not open a TIFF as it has no mode for its samples, rather than as it is damaged."""
    try:
        TiffImagePlugin.TiffImageFile(io.BytesIO(upload))
    except SyntaxError as err:
        return "unknown pixel mode" in str(err)
    except Exception:  # noqa: BLE001 - whatever Pillow raises, it is damaged
        return False
    return False


def is_inverted(file: Image.Image) -> bool:
    """Tell whether Pillow left a white-is-zero TIFF as it is; it inverts 1- and 8-bit ones only."""
    return (
        isinstance(file, TiffImagePlugin.TiffImageFile)
        and file.mode not in ("1", "L")
        and _is_white_zero(file)
    )


def is_unsigned(file: Image.Image) -> bool:
    """Tell whether 32-bit samples are unsigned ones, which Pillow takes for signed ones."""
    return (
        isinstance(file, TiffImagePlugin.TiffImageFile)
        and file.mode == "I"
        and _has_unsigned_samples(file)
    )


def _is_read_plane_by_plane(file: TiffImagePlugin.TiffImageFile) -> bool:
    """Tell whether Pillow, which cuts ``RGB;16L`` or ``L;I`` into letters, one a plane, loses nothing by it."""
    tags = file.tag_v2
    is_shallow = set(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) <= {1, 8}
    if _is_unpacked_by_libtiff(
        file
    ):  # which cuts only where there are several planes, and loses an alpha beside gray
        return len(file.getbands()) == 1 or (is_shallow and file.mode != "LA")
    in_order = tags.get(TiffImagePlugin.FILLORDER, _HIGHEST_BIT_FIRST) == _HIGHEST_BIT_FIRST
    return is_shallow and in_order and not _is_white_zero(file)


def _is_unpacked_by_libtiff(file: TiffImagePlugin.TiffImageFile) -> bool:
    return bool(file.tile) and file.tile[0].codec_name == "libtiff"


def _is_white_zero(file: TiffImagePlugin.TiffImageFile) -> bool:
    return bool(file.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO)


def _has_unsigned_samples(file: TiffImagePlugin.TiffImageFile) -> bool:
    return set(file.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (_UNSIGNED,))) == {_UNSIGNED}
