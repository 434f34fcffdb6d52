"""Make image files, sound and broken, for tests."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

# Real radiographs; none is part of the project.
NIH = Path(
    os.environ.get("NIH_RADIOGRAPHS") or Path(__file__).parents[3] / "shared" / "data" / "nih"
)
ORIENTATION = 0x0112


def nih_files() -> list[Path]:
    """Return the real radiographs, or skip the test."""
    found = sorted(NIH.glob("*.png"))
    if len(found) < 5:
        pytest.skip("set NIH_RADIOGRAPHS to a folder of five radiographs or more, as PNG")
    return found


def encoded(image: Image.Image, file_format: str, **parameters: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **parameters)
    return buffer.getvalue()


def gradient(width: int = 60, height: int = 40) -> NDArray[np.uint8]:
    """Return rows that brighten from left to right, 0 to 255."""
    row = np.linspace(0, 255, width).round().astype(np.uint8)
    return np.tile(row, (height, 1))


def png(pixels: NDArray[Any]) -> bytes:
    return encoded(Image.fromarray(pixels), "PNG")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG (3rd edition, 5.3)."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_header_claiming(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size and whose data are next to nothing."""
    return png_of_lines(bytes(1000), (width, height))


def png_of_lines(
    lines: bytes, size: tuple[int, int], bit_depth: int = 8, colour_type: int = 0
) -> bytes:
    """Return a PNG of lines that are filtered already (3rd edition, 9); 8-bit gray unless told otherwise."""
    header = struct.pack(">IIBBBBB", *size, bit_depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
