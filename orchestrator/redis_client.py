"""Own redis-py: open clients, and turn what it raises into this service's errors."""

import logging
import math
import re
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.connection import HiredisRespSerializer, PythonRespSerializer
from redis.exceptions import MasterDownError
from redis.retry import Retry

from orchestrator.errors import RedisUnavailableError

_log = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 10.0
_RETRY_AFTER: Final = 5
_LARGE_BYTES: Final = 65_536
_LOG_SECONDS: Final = 60.0
_CODE: Final = re.compile(r"[A-Z]+(?= )")
# Of a master that has become a replica. It has done nothing of what was asked, and keeps its connections: each is given
# up, as the address may lead to the new master by now.
_DEMOTED: Final = (redis.ReadOnlyError, MasterDownError)

_logged: dict[tuple[str, str], float] = {}  # cause → when it was logged last


def connect(url: str) -> redis.Redis:
    """Return a client that connects when it is first used; one that is lost, or leads to a replica, is tried anew once.

    Every write of this service may run twice without harm, so trying again is safe.
    """
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 1),
        retry_on_error=list(_DEMOTED),
        command_packer=_Packer(),
    )


def connect_briefly(url: str) -> redis.Redis:
    """Return a client for whoever only looks whether Redis answers: one that hangs counts as away after a second."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=_LOOK_SECONDS,
        socket_timeout=_LOOK_SECONDS,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1, _DEMOTED),
    )


def connect_async(
    url: str, most: int, patience: float = _PATIENCE_SECONDS
) -> redis.asyncio.ConnectionPool:
    """Return connections for what every request does, and can do without: only a replica is left for another try.

    Args:
        url: Of Redis.
        most: How many requests there may be at once; one that found no connection would take Redis for away.
        patience: Seconds to wait for a connection, and for an answer.
    """
    return redis.asyncio.ConnectionPool.from_url(
        url,
        socket_connect_timeout=patience,
        socket_timeout=patience,
        socket_keepalive=True,
        retry=AsyncRetry(NoBackoff(), 1, _DEMOTED),
        max_connections=most,
    )


class Pause:
    """Leave Redis alone after a failure: for a moment after one, and twice as long after each that follows it.

    What is done many times at once fails many times at once: what fails during a pause makes it no longer.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = -math.inf
        self._next = _FIRST_PAUSE_SECONDS

    def lasts(self) -> bool:
        """Tell whether Redis is to be left alone."""
        return self._clock() < self._until

    def begin(self) -> None:
        """Take note of a failure."""
        if not self.lasts():
            self._until = self._clock() + self._next
            self._next = min(2 * self._next, _LONGEST_PAUSE_SECONDS)

    def end(self) -> None:
        """Take note of an answer."""
        self._until = -math.inf
        self._next = _FIRST_PAUSE_SECONDS


class _Packer(HiredisRespSerializer):
    """Have uploads and results sent from where they lie.

    hiredis, which is quicker at commands of many words, copies each twice, which takes as much memory again and a
    quarter of the processor time of sending half a megabyte.
    """

    def __init__(self) -> None:
        self._uncopied: Any = PythonRespSerializer(_LARGE_BYTES, _encoded)

    def pack(self, *args: Any) -> list[Any]:
        """Return a command as pieces that are sent one after the other."""
        is_large = any(isinstance(word, bytes) and len(word) > _LARGE_BYTES for word in args)
        pieces: list[Any] = self._uncopied.pack(*args) if is_large else super().pack(*args)
        return pieces


def _encoded(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


@contextmanager
def translated() -> Iterator[None]:
    """Raise RedisUnavailableError in place of whatever redis-py raises, and log what that was."""
    try:
        yield
    except redis.AuthenticationError as err:  # of redis-py's connection errors one
        _log_cause(err)
        raise RedisUnavailableError(
            "Redis refuses the service's password; the operator must set the right one",
            retry_after=_RETRY_AFTER,
        ) from err
    except (redis.ConnectionError, redis.TimeoutError) as err:
        _log_cause(err)
        raise RedisUnavailableError(
            "Redis can't be reached or is starting; try again shortly", retry_after=_RETRY_AFTER
        ) from err
    except redis.OutOfMemoryError as err:
        _log_cause(err)
        raise RedisUnavailableError(
            "Redis has no memory left; try again later", retry_after=_RETRY_AFTER
        ) from err
    except redis.RedisError as err:
        _log_cause(err)
        raise RedisUnavailableError(
            "Redis answered with an error; the operator finds it in the log",
            retry_after=_RETRY_AFTER,
        ) from err
    except OSError as err:  # this process' own, as where it may open no more files
        _log_cause(err)
        raise RedisUnavailableError(
            "no connection to Redis can be made now; try again shortly", retry_after=_RETRY_AFTER
        ) from err


def _log_cause(error: Exception) -> None:
    """Log an error's class and Redis' code, such as MISCONF: the rest may quote what was sent. Not at each request."""
    code = getattr(error, "status_code", "") or (_CODE.match(str(error)) or [""])[0]
    cause = (type(_below(error)).__name__, code)
    now = time.monotonic()
    if now - _logged.get(cause, -_LOG_SECONDS) >= _LOG_SECONDS:
        _logged[cause] = now
        _log.warning("Redis failed", extra={"error": cause[0], "redis_code": code})


def _below(error: BaseException) -> BaseException:
    """Return what TLS says is wrong, if that is why Redis can't be reached: to wait would not help."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__context__
    return found or error


class Script:
    """A Lua script, run atomically by the server.

    Args:
        client: Where it runs.
        source: Its text; parts that several scripts share are joined before.
    """

    def __init__(self, client: redis.Redis, source: str) -> None:
        self._script = client.register_script(source)

    def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run the script and return what it returns.

        Raises:
            RedisUnavailableError: It can't be run now.
        """
        with translated():
            return self._script(keys=cast(Any, keys), args=cast(Any, args))


def text(value: Any) -> str:
    """Return what Redis answered as text; nothing becomes the empty text."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def texts(values: Any) -> dict[str, str]:
    """Return a hash that Redis answered as texts."""
    return {text(name): text(value) for name, value in values.items()}
