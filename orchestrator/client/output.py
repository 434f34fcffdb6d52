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


def try_file(path: Path) -> None:
    """Try that a file can be written, beside it as well: its folder is made if need be, an earlier file left as it is.

    Raises:
        click.ClickException: It can't.
    """
    if not path.exists() or path.is_file():
        make_folder(path.resolve().parent)
    if not path.exists():
        return
    try:
        path.open("ab").close()
    except OSError as err:
        raise click.ClickException(
            f"expected a file that can be written, got {path}: {err.strerror}; name another --output"
        ) from err
