"""Serve the files that pages are made of."""

from importlib.resources import files
from os import PathLike, stat_result
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

_CACHE: Final = "public, max-age=86400"
# Scripts that load each other must be of one release: browsers ask each time whether theirs still are.
_OWN: Final = "page"
_ASK_FIRST: Final = "no-cache"


class _CachedFiles(StaticFiles):
    """Let browsers keep what others wrote for a day; files come whole, with an ETag to ask again with."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever range it names: Starlette refuses units that it should overlook."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the answer for one file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        is_own = Path(full_path).parent.name == _OWN
        response.headers["Cache-Control"] = _ASK_FIRST if is_own else _CACHE
        response.headers["Accept-Ranges"] = "none"
        return response


ROUTES = [Mount("/static", _CachedFiles(directory=str(files("orchestrator").joinpath("static"))))]
