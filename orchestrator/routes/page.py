"""Show a page to use the service with, in the browser."""

import json
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gradcam.colour import colours
from gradcam.overlay import OPACITY
from gradcam.scale import ceiling
from orchestrator.images.radiograph import ACCEPTED_TEXT
from orchestrator.security_headers import PAGE
from orchestrator.services import services
from orchestrator.study import NOTICE

_PAGE: Final = Template(
    files("orchestrator").joinpath("templates/page.html").read_text(encoding="utf-8")
)
_HEADERS: Final = {"Content-Security-Policy": PAGE, "Cache-Control": "no-cache"}
# Heatmaps are drawn in the browser, in the very colours of the pictures that the service draws.
_DRAWING: Final = {
    "colours": colours().tolist(),
    "weak": ceiling(finding=False),
    "opacity": OPACITY,
}


async def page(request: Request) -> Response:
    """Answer a page to analyse an image with, and to look at the result and at statistics."""
    limit = services(request).settings.max_upload_bytes
    content = _PAGE.substitute(
        notice=escape(NOTICE),
        formats=escape(ACCEPTED_TEXT),
        megabytes=f"{limit / 1e6:g}",
        limits=json.dumps({"bytes": limit}),
        drawing=json.dumps(_DRAWING, separators=(",", ":")),
        version=escape(version("cxr-service")),
    )
    return HTMLResponse(content, headers=_HEADERS)


ROUTES = [Route("/", page)]
