"""Run the HTTP API alone: ``cxr serve``."""

import click
import uvicorn

from orchestrator import logs
from orchestrator.app import create_app
from orchestrator.memory import keep_freed_memory
from orchestrator.settings import Settings, SettingsError
from orchestrator.telemetry.tracing import check_tracing
from orchestrator.thresholds import ThresholdsError, read_thresholds


def read_settings() -> Settings:
    """Read the settings from the environment, or stop the command with the sentence that says what is wrong."""
    try:
        settings = Settings.from_environment()
        check_tracing(settings)
        if settings.thresholds is not None:
            read_thresholds(settings.thresholds)
    except SettingsError as err:
        raise click.ClickException(str(err)) from err
    except ThresholdsError as err:
        raise click.ClickException(f"THRESHOLDS: {err}") from err
    return settings


@click.command()
def serve() -> None:
    """Run the HTTP API; the model server is one that runs already (MODEL_SERVER)."""
    settings = read_settings()
    logs.configure(settings.log_level)
    keep_freed_memory()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
    )
