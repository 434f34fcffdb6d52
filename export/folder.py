"""Try early that results can be written: an hour of training must not end with a folder that can't be."""

import tempfile
from pathlib import Path

import click


def make_folder(folder: Path, option: str) -> None:
    """Make a folder and try that files can be written into it.

    Args:
        folder: Where.
        option: What the caller named it with, as ``--output``.

    Raises:
        click.BadParameter: They can't.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as err:
        raise click.BadParameter(
            f"expected a folder that can be written, got {folder}: {err.strerror}; name another",
            param_hint=option,
        ) from err
