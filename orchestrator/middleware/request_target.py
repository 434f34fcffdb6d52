"""Take requests that name their whole address, as those to a proxy do (RFC 9112, section 3.2.2)."""

import re
from typing import Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_ABSOLUTE: Final = re.compile(rb"https?://([^/]+)(/.*)?", re.IGNORECASE)


class RequestTargetMiddleware:
    """Turn such a request into what it would be otherwise; the host that its target names goes before Host.

    Args:
        app: What looks at paths.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        absolute = _ABSOLUTE.fullmatch(scope["raw_path"]) if scope["type"] == "http" else None
        if absolute:
            host, path = absolute.groups(b"/")
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [(b"host", host), *others]
            scope["raw_path"], scope["path"] = path, unquote(path.decode("ascii"))
        await self.app(scope, receive, send)
