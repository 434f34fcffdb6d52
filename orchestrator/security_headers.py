"""What every answer tells browsers that they may not do with it."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders

# An answer that is no page loads nothing and is shown in no frame, whatever a browser takes it for.
NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"
# A page of this service: its own files, and pictures that its scripts hold, as blob: where /docs tries an operation.
PAGE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DEFAULTS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": NOTHING,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HSTS: Final = {"Strict-Transport-Security": "max-age=31536000"}


def add_defaults(headers: MutableHeaders, *, https: bool = False) -> None:
    """Add what every answer carries, where it does not say otherwise itself."""
    for name, value in {**DEFAULTS, **(_HSTS if https else {})}.items():
        headers.setdefault(name, value)
