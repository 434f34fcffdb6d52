"""Look after tasks in the background: due retries, orphans, webhooks, old files."""

from collections.abc import Callable, Sequence

import redis

from orchestrator.periodic import PERIOD_SECONDS, PeriodicThread
from orchestrator.redis_client import translated


class Caretaker:
    """Call chores about once a second; of all processes, whoever comes first.

    Every chore may be done twice at once without harm. The key in Redis only saves work.

    Args:
        client: A client of its own: this thread's locks must not be held when a worker forks.
        key: Held in Redis by whoever comes first.
        chores: What to do; one that returns true has more of it, and is called again at once.
    """

    def __init__(
        self, client: "redis.Redis", key: str, chores: Sequence[Callable[[], bool | None]]
    ) -> None:
        self._client = client
        self._key = key
        self._chores = chores
        self._thread = PeriodicThread("caretaker", self._tick)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._thread.stop()

    def _tick(self) -> None:
        with translated():
            mine = self._client.set(self._key, b"1", nx=True, px=int(900 * PERIOD_SECONDS))
        if mine:
            for chore in self._chores:
                while chore() and not self._thread.stopping:
                    pass
