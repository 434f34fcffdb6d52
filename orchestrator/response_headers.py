"""Tell browsers, with every answer, what they may not do with it."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class ResponseHeadersMiddleware:
    """Add the headers.

    Args:
        app: What answers.
        https: Whether callers reach the service by HTTPS alone.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self.https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_defaults(MutableHeaders(scope=message), https=self.https)
            await send(message)

        await self.app(scope, receive, send_with_headers)
