"""Serve the files that pages are made of."""

from importlib.resources import files
from os import PathLike, stat_result
from typing import Final

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_CACHE: Final = "public, max-age=86400"


class _CachedFiles(StaticFiles):
    """Let browsers keep files for a day; they come with an ETag to ask again with."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the answer for one file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = _CACHE
        return response


ROUTES = [Mount("/static", _CachedFiles(directory=str(files("orchestrator").joinpath("static"))))]
