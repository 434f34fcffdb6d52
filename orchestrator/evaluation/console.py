"""Share what both commands ask for, and what both say."""

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Final

import click

from orchestrator.client.options import jobs_option, server_option, timeout_option

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_DECORATORS: Final = (
    click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path)),
    click.option(
        "--labels",
        required=True,
        type=_FILE,
        help="CSV with the columns image and labels, these separated by |.",
    ),
    server_option,
    jobs_option,
    timeout_option,
)


def shared_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the folder, its labels, the server, and how to ask it."""
    return reduce(lambda wrapped, decorator: decorator(wrapped), reversed(_DECORATORS), function)


def announce(present: int, named: int) -> None:
    """Say how many of the images that the labels file names are there."""
    click.echo(f"{present} of the {named} images in the labels file found", err=True)


def announce_boxes(present: int, named: int) -> None:
    """Say how many of the boxes are of images that were found."""
    click.echo(f"{present} of the {named} boxes are of images found", err=True)


def report_failures(failures: Mapping[str, str]) -> None:
    """List images without an answer, and end with status 1 if there are any."""
    for name, reason in failures.items():
        click.echo(f"{name}: {reason}", err=True)
    if failures:
        raise click.exceptions.Exit(1)
