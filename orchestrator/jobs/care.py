"""Look after tasks in the background: due retries, orphans, callbacks, old blobs."""

from collections.abc import Callable, Sequence
from typing import Final

import redis

from orchestrator.periodic import PERIOD_SECONDS, PeriodicThread
from orchestrator.redis_client import translated

# The key is gone a moment before the next tick, or every second tick would be missed.
_EARLY_MS: Final = 100


class Caretaker(PeriodicThread):
    """Call chores about once a second, or as seldom as told; of all processes, whoever comes first.

    Every chore may be done twice at once without harm. The key in Redis only saves work.

    Args:
        client: A client of its own: this thread's locks must not be held when a worker forks.
        key: Held in Redis by whoever comes first.
        chores: What to do; one that returns true has more of it, and is called again at once.
        every: Seconds between one time and the next.
    """

    def __init__(
        self,
        client: redis.Redis,
        key: str,
        chores: Sequence[Callable[[], bool | None]],
        every: float = PERIOD_SECONDS,
    ) -> None:
        super().__init__("caretaker", self._tick, every)
        self._client = client
        self._key = key
        self._chores = chores
        self._milliseconds = int(1000 * every) - _EARLY_MS

    def _tick(self) -> None:
        with translated():
            mine = self._client.set(self._key, b"1", nx=True, px=self._milliseconds)
            if not mine:  # the key ends later than it could if Redis' clock has been set back since
                mine = self._client.pexpire(self._key, self._milliseconds, lt=True)
        if mine:
            for chore in self._chores:
                while chore() and not self.stopping:
                    pass
