"""Mark data that must not leak, and find the marks again however they are written."""

import base64
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from urllib.parse import quote

_ZLIB: re.Pattern[bytes] = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_DEEPEST = 3
_MOST_UNPACKED = 20_000_000


class Marks:
    """Give every place a mark of its own, so that a leak tells where it came from."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self._forms: dict[bytes, str] = {}

    def __call__(self, place: str) -> str:
        """Return the mark of a place: letters and digits only, so that no writer changes it."""
        if place not in self.places:
            mark = f"Zz{len(self.places):02d}Doe{zlib.crc32(place.encode()):08x}Jane"
            self.places[place] = mark
            self._forms |= dict.fromkeys(_forms(mark), place)
        return self.places[place]

    def found_in(self, content: bytes | str) -> set[str]:
        """Return the places whose marks are in a content, plain or packed."""
        data = content.encode() if isinstance(content, str) else content
        return {
            place
            for layer in _layers(data, 0)
            for lowered in [layer.lower()]
            for form, place in self._forms.items()
            if form in lowered
        }


def _forms(mark: str) -> Iterator[bytes]:
    """Yield how a mark may be written, in lower case."""
    plain = mark.encode()
    for written in (plain, mark.encode("utf-16-le"), mark.encode("utf-16-be"), plain[::-1]):
        yield written.lower()
        yield written.hex().encode()
        for shift in range(3):
            yield _base64_core(written, shift).lower()
    yield "".join(f"%{byte:02x}" for byte in plain).encode()
    yield quote(mark).lower().encode()


def _base64_core(written: bytes, shift: int) -> bytes:
    """Return the digits that stand for a text wherever in the encoded whole it begins."""
    digits = base64.b64encode(bytes(shift) + written)
    return digits[(4 * shift + 2) // 3 : -4]


def _layers(content: bytes, depth: int) -> Iterator[bytes]:
    """Yield a content, and what is packed in it: members of ZIPs, streams of zlib and gzip, as in PNG and RQ's jobs."""
    yield content
    if depth == _DEEPEST:
        return
    if content.startswith(b"PK"):
        yield from _zip_layers(content, depth)
        return
    for match in _ZLIB.finditer(content):
        window = 31 if match[0].startswith(b"\x1f") else 15
        try:
            unpacked = zlib.decompressobj(window).decompress(
                content[match.start() :], _MOST_UNPACKED
            )
        except zlib.error:
            continue
        if unpacked:
            yield from _layers(unpacked, depth + 1)


def _zip_layers(content: bytes, depth: int) -> Iterator[bytes]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        return
    for entry in archive.infolist():
        yield entry.filename.encode()
        yield from _layers(archive.read(entry), depth + 1)
