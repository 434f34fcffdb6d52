"""Make an API key: ``cxr key``."""

from collections.abc import Sequence
from typing import cast

import click

from orchestrator.access.keys import SCOPES, Scope, make_key


@click.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; may be given several times.",
)
def key(name: str, scopes: Sequence[str]) -> None:
    """Make an API key for NAME and print it, this once, with the entry to configure.

    The service keeps the entry only, which does not tell the key: add it to API_KEYS or to the file that
    API_KEYS_FILE names.
    """
    try:
        made, entry = make_key(name, cast(Sequence[Scope], scopes))
    except ValueError as err:
        raise click.ClickException(f"NAME: expected {err}") from err
    click.echo(made)
    click.echo(entry.dumps())
    click.echo("The first line is the key: give it to its owner, it is not kept.", err=True)
    click.echo("The second line is its entry for API_KEYS or API_KEYS_FILE.", err=True)
