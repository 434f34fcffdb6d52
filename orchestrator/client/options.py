"""Ask on the command line which service to send to, how much at once, and how long to wait for an answer."""

import os
from typing import Final

import click

_LONGEST: Final = 86_400.0


def _seconds(_: click.Context, __: click.Parameter, value: float) -> float:
    if not 0 < value <= _LONGEST:  # nor is NaN within
        raise click.BadParameter(
            f"expected more than 0 and at most {_LONGEST:.0f} seconds, got {value}"
        )
    return value


def _here() -> str:
    """Return where a service on this machine listens, as far as the environment or ``.env`` says."""
    port = os.environ.get("PORT") or 5000  # noqa: TID251 - the other settings are none of a client's
    return f"http://127.0.0.1:{port}"


server_option: Final = click.option(
    "--server", default=_here, show_default="http://127.0.0.1:5000, or that of PORT", metavar="URL"
)
jobs_option: Final = click.option(
    "--jobs",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Images sent at once.",
)
timeout_option: Final = click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    callback=_seconds,
    help="Seconds to wait for an answer.",
)
