"""What commands that start a part of the service begin with: sound settings, or a sentence that says what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from orchestrator.jobs.callbacks import trusted_certificates
from orchestrator.settings import Settings, SettingsError
from orchestrator.storage.create import check_data_dir
from orchestrator.telemetry.tracing import check_tracing
from orchestrator.thresholds import ThresholdsError, read_thresholds


@contextmanager
def settings_explained() -> Iterator[None]:
    """End the command with the sentence that says what is wrong with a setting."""
    try:
        yield
    except SettingsError as err:
        raise click.ClickException(str(err)) from err


def read_settings() -> Settings:
    """Read the settings from the environment, or stop the command with the sentence that says what is wrong."""
    with settings_explained():
        settings = Settings.from_environment()
        check_tracing(settings)
        if settings.callback_hosts and settings.callback_secret:
            trusted_certificates()
    if settings.thresholds is not None:
        try:
            read_thresholds(settings.thresholds)
        except ThresholdsError as err:
            raise click.ClickException(f"THRESHOLDS: {err}") from err
    return settings


def require_data_dir(settings: Settings) -> None:
    """Stop the command with a sentence where the data folder can't be written to."""
    with settings_explained():
        check_data_dir(settings)
