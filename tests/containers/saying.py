"""Say what is seen as it is seen, and wait for what takes its time."""

import sys
import time
from collections.abc import Callable

import click
import httpx


def say(line: str) -> None:
    """Print a line at once."""
    click.echo(line)
    sys.stdout.flush()


def wait_for(check: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until a check passes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if check():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"expected within {seconds:.0f} s that {what}, waited in vain")


def answered(client: httpx.Client, path: str) -> bool:
    """Tell whether a path is answered 200."""
    return client.get(path).status_code == httpx.codes.OK


def checked(response: httpx.Response, status: int) -> httpx.Response:
    """Return an answer, which must have a status."""
    assert response.status_code == status, f"{response.request.url.path}: {response.text[:500]}"
    return response
