"""Take settings from a file of lines ``NAME=value``, as Compose does."""

import os
from pathlib import Path
from typing import Final

import click
from dotenv import load_dotenv

_NAMING: Final = "ENV_FILE"
_USUAL: Final = ".env"


def load_env_file() -> None:
    """Add the variables of ``.env`` in the working folder, or of the file that ENV_FILE names, to the environment.

    What is set there already stays. Without the usual file nothing is added.

    Raises:
        click.ClickException: The file can't be read, or the one that is named isn't there.
    """
    named = os.environ.get(_NAMING)  # noqa: TID251 - names where settings are read from
    try:
        with Path(named or _USUAL).open(encoding="utf-8-sig") as file:
            load_dotenv(stream=file)
    except (FileNotFoundError, IsADirectoryError) as err:
        if named:
            raise _unreadable(_NAMING) from err
    except (OSError, UnicodeDecodeError) as err:
        raise _unreadable(_NAMING if named else _USUAL) from err


def _unreadable(source: str) -> click.ClickException:
    return click.ClickException(
        f"{source}: expected a file of lines NAME=value in UTF-8, got none that can be read; correct it or take it away"
    )
