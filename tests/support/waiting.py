"""Wait for what other threads and processes do in their own time."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def eventually(look: Callable[[], _T | None], *, seconds: float = 60) -> _T:
    """Return what is seen once it is something, and fail if it is nothing for so long."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"waited for {seconds:g} s in vain"
        time.sleep(0.05)
    return found
