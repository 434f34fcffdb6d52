"""Serve overlays that are kept on the disk, to whoever holds a link that is signed and has not expired."""

from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.errors import NotFoundError
from orchestrator.security_headers import NOTHING
from orchestrator.services import services
from orchestrator.storage.disk import DiskStore
from orchestrator.storage.moved import MovedStore

# A picture is shown by itself as well, in a page that can do nothing.
_HEADERS = {
    "Content-Security-Policy": f"{NOTHING}; sandbox",
    "Content-Disposition": "inline",
}


async def file(request: Request) -> Response:
    """Answer one picture."""
    store = services(request).store
    if isinstance(store, MovedStore):
        store = store.before
    if not isinstance(store, DiskStore):
        raise NotFoundError("pictures are not kept here; their URLs lead elsewhere")
    key, query = request.path_params["key"], request.query_params
    read = partial(store.read, key, query.get("expires", ""), query.get("signature", ""))
    content, media_type = await anyio.to_thread.run_sync(read)
    return Response(content, media_type=media_type, headers=_HEADERS)


ROUTES = [Route("/files/{key}", file)]
