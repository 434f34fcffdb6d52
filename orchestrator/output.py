"""Try early that results can be written: hours of sending must not end with a folder that can't be."""

import tempfile
from pathlib import Path

import click


def make_folder(folder: Path) -> None:
    """Make a folder for results and try that files can be written into it.

    Raises:
        click.ClickException: They can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as err:
        raise click.ClickException(
            f"expected a folder for results that can be written, got {folder}: {err.strerror}"
        ) from err
