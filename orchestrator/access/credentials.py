"""Read the key that a request shows."""

import base64
import binascii
from dataclasses import dataclass

from starlette.datastructures import Headers

from orchestrator.errors import UnauthorizedError

_HOW = (
    "send it as 'Authorization: Bearer KEY', as 'X-API-Key: KEY', or as the password of HTTP Basic"
)


@dataclass(frozen=True)
class Credentials:
    """A key, and whether a browser may have sent it by itself.

    Attributes:
        key: The key.
        automatic: Whether it came as HTTP Basic, which browsers add to every request of a site once they know it.
    """

    key: str
    automatic: bool = False


def read_credentials(headers: Headers) -> Credentials:
    """Return the key in the headers of a request.

    Raises:
        UnauthorizedError: There is none.
    """
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and value.strip():
        return Credentials(value.strip())
    if "x-api-key" in headers:
        return Credentials(headers["x-api-key"].strip())
    if kind.lower() == "basic":
        return Credentials(_password(value.strip()), automatic=True)
    raise UnauthorizedError(f"expected an API key, got none; {_HOW}")


def _password(encoded: str) -> str:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as err:
        raise UnauthorizedError(f"expected HTTP Basic with a key as the password; {_HOW}") from err
    key = text.partition(":")[2]
    if not key:
        raise UnauthorizedError(f"expected HTTP Basic with a key as the password; {_HOW}")
    return key
