"""Do something about once a second, or as seldom as told, in a thread beside everything else."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from orchestrator.errors import ServiceError

_log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 1.0
# What is under way gets so long to end by itself; then it ends with the process.
_END_SECONDS: Final = 20.0


class PeriodicThread:
    """Call a function until it is stopped, whatever it raises; a second after its start for the first time.

    Args:
        name: Tells in the log what waits, once for as long as it does, or what failed.
        work: Raises ServiceError while what it needs is away.
        every: Seconds between one time and the next.
    """

    def __init__(self, name: str, work: Callable[[], None], every: float = PERIOD_SECONDS) -> None:
        self._name = name
        self._work = work
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """Tell whether it is to end: work that takes long looks now and then."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it, though not for work that hangs."""
        self._stopping.set()
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        away = False
        pause = PERIOD_SECONDS
        while not self._stopping.wait(pause):
            pause = self._every
            try:
                self._work()
            except ServiceError as err:
                if not away:
                    _log.warning("%s waits", self._name, extra={"error": err.code, "why": str(err)})
                away = True
            except Exception:  # noqa: BLE001 - this loop is the outermost of its thread
                _log.exception("%s failed", self._name)
            else:
                away = False
