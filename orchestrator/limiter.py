"""Count what callers ask for in Redis, by the ``limits`` library, and say how much they have left.

A sliding window that takes one round trip: a counter for each window of the clock, and of the window before what is
still within one length of now, as if its requests had come evenly. The window before changes no more, so a process
reads it once. A request that is refused is taken back, so whoever waits as long as told is served.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import limits
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from prometheus_client import Counter
from redis.asyncio import ConnectionPool

from orchestrator.redis_client import Pause

_log = logging.getLogger(__name__)

_PREFIX: Final = "cxr:limit"


@dataclass(frozen=True)
class Standing:
    """How a caller stands.

    Attributes:
        limit: What it may ask within a window.
        remaining: What is left of that.
        reset: Seconds until the window ends.
        retry_after: Seconds to wait before asking again; 0 if this request is allowed.
    """

    limit: int
    remaining: int
    reset: int
    retry_after: int = 0

    @property
    def allowed(self) -> bool:
        """Tell whether the request may be served."""
        return self.retry_after == 0


class Limiter:
    """Let every caller ask so often and no oftener; without Redis, let everybody.

    Args:
        name: Tells what is counted.
        rate: Such as ``600/minute``.
        pool: Connections to Redis.
        missed: Counts the requests that were let through uncounted.
        clock: Gives the seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        rate: str,
        pool: ConnectionPool,
        missed: Counter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        item = limits.parse(rate)
        self._name = name
        self._amount = item.amount
        self._length = item.get_expiry()
        options: dict[str, Any] = {"connection_pool": pool}
        self._storage = RedisStorage(
            "async+redis://",
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix=_PREFIX,
            **options,
        )
        self._missed = missed
        self._clock = clock
        self._pause = Pause()
        self._window = 0
        self._before: dict[tuple[str, int], int] = {}

    async def hit(self, caller: str) -> Standing | None:
        """Count a request and say how its caller stands; None if Redis can't be asked."""
        return await self._ask(caller, 1, take_back=True)

    async def charge(self, caller: str, cost: int) -> Standing | None:
        """Count a request that was let in as several more; answer as :meth:`hit` does."""
        return await self._ask(caller, cost, take_back=False)

    async def _ask(self, caller: str, cost: int, *, take_back: bool) -> Standing | None:
        if self._pause.lasts():
            self._missed.inc()
            return None
        window, into = divmod(self._clock(), self._length)
        try:
            used = await self._add(caller, int(window), cost)
            standing = self._standing(used, await self._used_before(caller, int(window)), into)
            if take_back and not standing.allowed:
                await self._add(caller, int(window), -cost)
        except StorageError as err:
            self._missed.inc()
            self._pause.begin()
            cause = type(err.storage_error).__name__
            _log.warning("rate limits pause", extra={"limit": self._name, "error": cause})
            return None
        self._pause.end()
        return standing

    def _standing(self, used: int, before: int, into: float) -> Standing:
        """Say how a caller stands.

        Args:
            used: What was asked in this window, this request included.
            before: What was asked in the window before.
            into: Seconds since this window began.
        """
        amount, length = self._amount, self._length
        before = min(before, amount)
        total = used + before * (1 - into / length)
        reset = math.ceil(length - into)
        if total <= amount:
            return Standing(amount, math.floor(amount - total), reset)
        # Enough of the window before has to go; or this window has to end, and one request's part of it to go as well.
        place = 1 - (amount - used) / before if used <= amount else 1 + 1 / amount
        wait = length * place - into
        return Standing(amount, 0, reset, max(1, math.ceil(wait)))

    async def _add(self, caller: str, window: int, cost: int) -> int:
        return await self._storage.incr(self._key(caller, window), 2 * self._length, amount=cost)

    async def _used_before(self, caller: str, window: int) -> int:
        if window != self._window:
            self._window = window
            self._before.clear()
        # While one waits for Redis, the window may become another to the next
        known = (caller, window)
        if known not in self._before:
            self._before[known] = await self._storage.get(self._key(caller, window - 1))
        return self._before[known]

    def _key(self, caller: str, window: int) -> str:
        return f"{self._name}:{caller}:{window}"


def missed_counter() -> Counter:
    """Return what counts the requests that were let through uncounted."""
    return Counter(
        "cxr_rate_limit_missed",
        "Requests that were let through uncounted, as Redis was away.",
        registry=None,
    )
