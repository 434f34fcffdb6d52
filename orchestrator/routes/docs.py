"""Describe the API to programs and to people."""

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from orchestrator.security_headers import PAGE

_PAGE: Final = files("orchestrator").joinpath("static/docs/index.html").read_text("utf-8")
_HEADERS: Final = {"Content-Security-Policy": PAGE, "Cache-Control": "no-cache"}


async def page(_: Request) -> Response:
    """Answer a page to read the description of the API, and to try it."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


async def document(request: Request) -> Response:
    """Answer the description of the API as OpenAPI 3.1."""
    return JSONResponse(request.app.state.openapi, headers={"Cache-Control": "no-cache"})


ROUTES = [Route("/docs", page), Route("/openapi.json", document)]
