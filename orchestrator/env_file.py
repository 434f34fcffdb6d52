"""Take settings from a file of lines ``NAME=value``, as Compose does."""

import os
from pathlib import Path
from typing import Final

import click
from dotenv.parser import parse_stream

_NAMING: Final = "CXR_ENV_FILE"
_USUAL: Final = ".env"


def load_env_file() -> None:
    """Add the variables of ``.env`` in the working folder, or of the file that CXR_ENV_FILE names, to the environment.

    What is set there already stays. Values are taken as they are written: a ``$`` is one. Without the usual file
    nothing is added.

    Raises:
        click.ClickException: The file can't be read, or the one that is named isn't there.
    """
    named = os.environ.get(_NAMING)  # noqa: TID251 - names where settings are read from
    try:
        found = _read(named or _USUAL)
    except (FileNotFoundError, IsADirectoryError) as err:
        if named:
            raise _unusable(_NAMING, f"none ({err.strerror})") from err
        return
    except OSError as err:
        raise _unusable(named or _USUAL, f"one that can't be read ({err.strerror})") from err
    except UnicodeDecodeError as err:
        raise _unusable(named or _USUAL, "other bytes") from err
    found.pop(_NAMING, None)  # processes that are started from here read the same file
    os.environ.update({**found, **os.environ})  # noqa: TID251 - written, for whoever reads settings


def _read(path: str) -> dict[str, str]:
    with Path(path).open(encoding="utf-8-sig") as file:
        lines = list(parse_stream(file))
    for line in lines:
        if line.error:  # what stands in it may be a secret
            raise _unusable(path, f"something else from line {line.original.line} on")
    return {line.key: line.value for line in lines if line.key and line.value is not None}


def _unusable(source: str, got: str) -> click.ClickException:
    return click.ClickException(
        f"{source}: expected a file of lines NAME=value in UTF-8, got {got}; correct it, or start in another folder"
    )
