"""Import TensorFlow without its notes about the machine."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click


def import_tensorflow_quietly() -> None:
    """Load TensorFlow, and let it look for devices, with its notes kept back unless it fails.

    Its native part writes to the process's standard error before any level set for it holds.

    Raises:
        click.ClickException: It is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # noqa: TID251  # TensorFlow reads it at import
    with _kept_back():
        tensorflow = _tensorflow()
        tensorflow.config.list_physical_devices()
        tensorflow.zeros(())
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _tensorflow() -> Any:
    try:
        return import_module("tensorflow")
    except ModuleNotFoundError as err:
        raise click.ClickException(
            "this command needs the package 'tensorflow', which is not installed; install this project with its extra"
            " 'model'"
        ) from err


@contextmanager
def _kept_back() -> Iterator[None]:
    """Send what is written to standard error to a file, and show it only where an exception passes."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(original, notes.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
