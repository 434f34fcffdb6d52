"""What commands that start a part of the service begin with: sound settings, or a sentence that says what is wrong."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click

from orchestrator.jobs.callbacks import trusted_certificates
from orchestrator.settings import Settings, SettingsError
from orchestrator.storage.create import create_store, keeps_on_disk
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
        if settings.called_hosts:
            trusted_certificates()
    if settings.thresholds is not None:
        try:
            read_thresholds(settings.thresholds)
        except ThresholdsError as err:
            raise click.ClickException(f"THRESHOLDS: {err}") from err
    return settings


def require_data_dir(settings: Settings) -> None:
    """Make the data folder, or stop the command with a sentence where it can't be written to."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.data_dir):
            pass
    except OSError as err:
        raise click.ClickException(
            f"DATA_DIR: expected a folder that this process can write to, got {str(settings.data_dir)!r}"
            f" ({err.strerror}); mount a volume there, change its owner, or set it to another folder"
        ) from err


def require_what_is_kept(settings: Settings) -> None:
    """Do as :func:`require_data_dir` where pictures or blobs are kept there, and see that what signs links is whole."""
    if keeps_on_disk(settings):
        require_data_dir(settings)
    with settings_explained():
        create_store(settings)
