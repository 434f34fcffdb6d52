"""Say which stage a task is in, if it stays there.

Most stages are over in milliseconds, long before anybody looks (`events` does so every 0.4 s), and saying so costs a
task as much as resizing its image.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from orchestrator.errors import DependencyError

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.1


class Announcer:
    """Look at what a process is at, and tell what it was at the last time already.

    Args:
        tell: Told a task and its stage; whoever gets it must bear that the task has gone on since.
    """

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self._tell = tell
        self._at: tuple[str, str] | None = None
        self._thread: threading.Thread | None = None

    def begin(self, task_id: str, stage: str) -> None:
        """Say that a stage begins; the first begins the looking, in a thread that ends with the process."""
        self._at = (task_id, stage)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Say that the process has nothing to do."""
        self._at = None

    def _run(self) -> None:
        seen: tuple[str, str] | None = None
        told: tuple[str, str] | None = None
        while True:
            time.sleep(_LOOK_SECONDS)
            now = self._at
            if now is not None and now is seen and now is not told:
                try:
                    self._tell(*now)
                    told = now
                except DependencyError:
                    pass  # the next look tries it again
                except Exception:  # noqa: BLE001 - this loop is the outermost of its thread
                    _log.exception("stage not told")
            seen = now
