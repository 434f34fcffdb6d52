"""Turn the base64 of a JSON body into the bytes of an image."""

import base64
import binascii
import re
from typing import Final

from orchestrator.errors import MalformedBase64Error, TooManyBytesError

_DATA_URL: Final = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_DATA_PREFIX: Final = "data:"
_STANDARD: Final = str.maketrans("-_", "+/", " \t\r\n")


def decode_base64(text: str, max_bytes: int) -> bytes:
    """Return the bytes that a text encodes.

    A ``data:…;base64,`` prefix, line breaks, the URL-safe alphabet and missing padding are fine; other
    foreign characters are not, as they are what a damaged text has.

    Raises:
        MalformedBase64Error: The text is no base64.
        TooManyBytesError: It encodes more than ``max_bytes``.
    """
    text = text.lstrip()
    prefix = _DATA_URL.match(text)
    if prefix is None and text[: len(_DATA_PREFIX)].lower() == _DATA_PREFIX:
        raise MalformedBase64Error(
            "expected 'data:image/png;base64,…' or bare base64, got a data: URL of another kind"
        )
    if not text.isascii():  # to translate such a text would hold up every other thread, for seconds
        raise _malformed()
    digits = text[prefix.end() if prefix else 0 :].translate(_STANDARD).rstrip("=")
    if len(digits) * 3 // 4 > max_bytes:
        raise TooManyBytesError(
            f"expected an image of at most {max_bytes} bytes, got more; send a smaller file, or ask"
            " the operator to raise MAX_UPLOAD_BYTES"
        )
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except binascii.Error as err:
        raise _malformed() from err


def _malformed() -> MalformedBase64Error:
    return MalformedBase64Error(
        "expected the image as base64, got a text that has other characters in it or was cut short; encode the"
        " whole file"
    )
