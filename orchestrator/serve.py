"""Run the HTTP API alone: ``cxr serve``."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, cast

import click
import uvicorn

from orchestrator import logs
from orchestrator.app import create_app
from orchestrator.connections import protocol
from orchestrator.descriptors import allow_connections
from orchestrator.listening import listen
from orchestrator.memory import keep_freed_memory
from orchestrator.startup import read_settings, require_what_is_kept, settings_explained
from orchestrator.telemetry.port import open_port
from serving.scheduling import work_in_batches

_log = logging.getLogger(__name__)

# What is under way when it is told to stop may take so long; with Kubernetes' preStop, less than its pods' grace.
GRACE_SECONDS: Final = 45
_STARTUP_FAILURE: Final = 3


@click.command()
def serve() -> None:
    """Run the HTTP API; the model server is one that runs already (MODEL_SERVER)."""
    settings = read_settings()
    require_what_is_kept(settings)
    logs.configure(settings.log_level)
    keep_freed_memory()
    allow_connections(settings.connections)
    work_in_batches()
    with settings_explained():
        app = create_app(settings)
        open_port(settings, app.state.registry)
        sockets = listen("", settings.host, settings.port)
    # uvicorn tells of addresses that it binds itself alone
    _log.info("listening", extra={"port": sockets[0].getsockname()[1]})
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=settings.keep_alive,
            timeout_graceful_shutdown=GRACE_SECONDS,
            # uvicorn takes whatever makes a protocol; its annotation names classes only
            http=cast(type[asyncio.Protocol], protocol(settings, app.state.registry)),
        )
    )
    app.state.is_stopping = lambda: server.should_exit
    with suppress(KeyboardInterrupt):
        server.run(sockets=sockets)
    if not server.started:
        raise SystemExit(_STARTUP_FAILURE)
