"""Ask on the command line how long to wait for an answer of the service."""

from typing import Final

import click

_LONGEST: Final = 86_400.0


def _seconds(_: click.Context, __: click.Parameter, value: float) -> float:
    if not 0 < value <= _LONGEST:  # nor is NaN within
        raise click.BadParameter(
            f"expected more than 0 and at most {_LONGEST:.0f} seconds, got {value}"
        )
    return value


timeout_option: Final = click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    callback=_seconds,
    help="Seconds to wait for an answer.",
)
