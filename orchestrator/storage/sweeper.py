"""Remove files whose time is over, again and again while a process runs."""

import logging
import time
from typing import Final

from orchestrator.errors import StoreUnavailableError
from orchestrator.periodic import PeriodicThread
from orchestrator.storage.base import Store

_log = logging.getLogger(__name__)

_EVERY: Final = 600.0


class Sweeper:
    """Sweep a store until it is stopped; several processes may do so on one folder.

    Each process does so for itself: its folder may be its own.

    Args:
        store: What is swept.
        every: Seconds between one time and the next.
    """

    def __init__(self, store: Store, every: float = _EVERY) -> None:
        self._store = store
        self._every = every
        self._due = time.monotonic()
        self._thread = PeriodicThread("sweeper", self._tick)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._thread.stop()

    def _tick(self) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            _sweep(self._store)


def _sweep(store: Store) -> None:
    try:
        count = store.sweep()
    except StoreUnavailableError:
        _log.exception("files can't be swept")
    else:
        if count:
            _log.info("files swept", extra={"files": count})
