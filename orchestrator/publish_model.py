"""Export the model of the settings for TensorFlow Serving, once: ``cxr publish-model``."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from orchestrator import model_source
from orchestrator.startup import read_settings


@click.command("publish-model")
@click.argument("folder", type=click.Path(path_type=Path))
def publish_model(folder: Path) -> None:
    """Export MODEL_PATH, or the demo model, as the next version in FOLDER, unless it was the last one exported there.

    FOLDER is the model's folder, as /models/densenet.
    """
    settings = read_settings()
    with explained():
        if model_source.is_published(settings, folder):
            click.echo("The model was exported before; nothing to do.")
        else:
            model_source.publish(settings, folder)


@contextmanager
def explained() -> Iterator[None]:
    """End the command with a sentence where the model can't be read, exported or written."""
    try:
        yield
    except OSError as err:
        raise click.ClickException(
            f"MODEL_PATH or MODEL_LABELS can't be read, or the folder can't be written ({err.strerror}:"
            f" {err.filename}); correct it or unset it"
        ) from err
    except subprocess.CalledProcessError as err:
        raise click.ClickException("the model can't be exported; see above") from err
