"""Find what Debian's package ``prometheus`` brings."""

import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """Return the path of promtool, or skip."""
    return found("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    """Return the path of Prometheus itself, or skip."""
    return found("prometheus")


def found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed (Debian's package prometheus)")
    return path
