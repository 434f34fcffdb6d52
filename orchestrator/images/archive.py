"""Take a ZIP of images apart without trusting it."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Final

from orchestrator.errors import MalformedBodyError, TooManyBytesError, TooManyFilesError

MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06")  # the second is that of an empty one
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1

# Begins each entry of the directory (APPNOTE.TXT, 4.3.12). Of every one the standard library makes an object of some
# 400 bytes, and it takes as many as there are, whatever number the archive claims.
_ENTRY: Final = b"PK\x01\x02"
# Entries for each file there may be: folders of its own, and what systems hide in and beside them.
_ENTRIES_EACH: Final = 20

# What the standard library raises on damaged archives, as seen by feeding it such.
_DAMAGES: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,  # NotImplementedError among them
    ValueError,  # UnicodeDecodeError among them
    LookupError,
    ArithmeticError,
)


def unpack(content: bytes, *, most_files: int, most_bytes: int, most_each: int) -> list[bytes]:
    """Return the files in a ZIP, in its order; folders and what systems hide beside files are left out.

    Entries are counted before the directory is read. What an entry claims to hold is counted before it is read, and no
    more than that is read.

    Raises:
        MalformedBodyError: It is no ZIP, a damaged or encrypted one, or packed in an unusual way.
        TooManyFilesError: It has too many files, or too many folders and the like.
        TooManyBytesError: Its files, or one of them, are too large.
    """
    most_entries = _ENTRIES_EACH * most_files
    if content.count(_ENTRY) > most_entries:
        raise TooManyFilesError(
            f"expected at most {most_entries} entries, folders among them, got more; leave out folders and hidden"
            " files, or send several batches"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if _is_image(entry)]
            _check(entries, most_files, most_bytes, most_each)
            return [archive.read(entry) for entry in entries]
    except _DAMAGES as err:
        raise MalformedBodyError(
            "expected a ZIP of images, got one that is damaged or encrypted; pack it anew"
        ) from err


def refuse_large(sizes: Iterable[int], most_each: int) -> None:
    """Refuse images of which one is too large.

    Args:
        sizes: Their bytes, in the order of the batch.
        most_each: Bytes that one of them may have.

    Raises:
        TooManyBytesError: It names the first such image by its place, counted from 1.
    """
    for place, size in enumerate(sizes, 1):
        if size > most_each:
            raise TooManyBytesError(
                f"image {place}: expected at most {most_each} bytes, got more; leave it out, or ask the operator to"
                " raise MAX_UPLOAD_BYTES"
            )


def _is_image(entry: zipfile.ZipInfo) -> bool:
    name = entry.filename.rpartition("/")[2]
    return not (entry.is_dir() or name.startswith(".") or entry.filename.startswith("__MACOSX/"))


def _check(
    entries: list[zipfile.ZipInfo], most_files: int, most_bytes: int, most_each: int
) -> None:
    if len(entries) > most_files:
        raise TooManyFilesError(
            f"expected at most {most_files} files, got {len(entries)}; send several batches"
        )
    if any(
        entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS for entry in entries
    ):
        raise MalformedBodyError(
            "expected entries that are stored or deflated and not encrypted, got others; pack it anew"
        )
    refuse_large((entry.file_size for entry in entries), most_each)
    if sum(entry.file_size for entry in entries) > most_bytes:
        raise TooManyBytesError(
            f"expected at most {most_bytes} bytes in all, got more; send several batches"
        )
