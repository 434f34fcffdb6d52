"""Answer the figures that Prometheus collects."""

from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.services import services


async def metrics(request: Request) -> Response:
    """Answer every metric of this process, and those of the queue."""
    here = services(request)
    content = await here.watch_threads.run(partial(generate_latest, here.registry))
    return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


ROUTES = [Route("/metrics", metrics)]
