"""Read an image and its parameters out of a JSON body."""

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.requests import Request

from orchestrator.errors import (
    MalformedBodyError,
    MissingFileError,
    ParameterError,
)
from orchestrator.images.base64_image import decode_base64
from orchestrator.routes.content import expect_content
from orchestrator.routes.parameters import options
from orchestrator.services import services
from orchestrator.study import Options

IMAGE_FIELD: Final = "image"

# An image and a few parameters need few; millions of empty lists would take a hundred times their bytes in memory.
_MOST_VALUES: Final = 1000
_BEFORE_A_VALUE: Final = (b"[", b"{", b",")
# To read a body takes four times its bytes, and Python's global lock all the while: one at a time is no slower.
_READING: Final = threading.Lock()


async def receive_json_upload(
    request: Request,
) -> Callable[[], tuple[bytes, Options, Mapping[str, Any]]]:
    """Return what reads a JSON body: its image, decoded, what to draw, and its other fields.

    It is to be called in the thread that does the work: tens of megabytes of base64 would hold up every other request.

    Raises:
        RequestError: The body is of another media type; or, once it is read, is no JSON, has no image, or a parameter
            is not one of those it takes.
    """
    hint = "to send a file itself, use the path without /v2"
    expect_content(request, "application/json", hint)
    max_bytes = services(request).settings.max_upload_bytes
    return partial(_read, await request.body(), max_bytes)


def _read(body: bytes, max_bytes: int) -> tuple[bytes, Options, Mapping[str, Any]]:
    with _READING:
        fields = _fields(body)
        wanted = options(fields)
        image = _image(fields.pop(IMAGE_FIELD, None))
        return decode_base64(image, max_bytes), wanted, fields


def _fields(body: bytes) -> dict[str, Any]:
    if sum(body.count(mark) for mark in _BEFORE_A_VALUE) > _MOST_VALUES:
        raise MalformedBodyError(
            f'expected JSON such as {{"{IMAGE_FIELD}": "…"}} of at most {_MOST_VALUES} values, got a body that has more'
            " or is none"
        )
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise MalformedBodyError(
            f'expected JSON such as {{"{IMAGE_FIELD}": "…"}}, got a body that is none'
        ) from err
    if not isinstance(fields, dict):
        raise ParameterError(
            f'expected a JSON object such as {{"{IMAGE_FIELD}": "…"}}, got another JSON value'
        )
    return fields


def _image(image: Any) -> str:
    if image is None:
        raise MissingFileError(
            f"expected the image as base64 in the field '{IMAGE_FIELD}', got no such field"
        )
    if not isinstance(image, str):
        raise ParameterError(
            f"{IMAGE_FIELD}: expected the image as base64 text, got another JSON type"
        )
    return image
