"""Call the address that a caller left, once its task is done.

Which calls are due lies in Redis, written in the same moment as the task's end. A call that has been
answered is never repeated; one whose answer was lost with the process that made it is repeated with
the same delivery number, by which the receiver can tell.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import math
import ssl
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis

from orchestrator.answers import TaskDone
from orchestrator.errors import ParameterError
from orchestrator.jobs import keys
from orchestrator.jobs.ledger import Ledger
from orchestrator.jobs.task import DONE, Task
from orchestrator.redis_client import Script, text
from orchestrator.settings import SettingsError

_log = logging.getLogger(__name__)

SIGNATURE_HEADER: Final = "X-CXR-Signature"
DELIVERY_HEADER: Final = "X-CXR-Delivery"
_MOST_TRIES: Final = 8
_FIRST_WAIT: Final = 2
_LONGEST_WAIT: Final = _FIRST_WAIT * 2 ** (_MOST_TRIES - 2)
_CLAIM_SECONDS: Final = 60
# From the first byte to the status of the answer, however the bytes between them drip in.
_CALL_SECONDS: Final = 10.0
# A receiver that takes longer than this is left alone for three times as long as it took.
_SLOW_SECONDS: Final = 1.0
_REST: Final = 3
_LONGEST_URL: Final = 1000
_HTTPS_PORT: Final = ":443"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")

# Takes the call that is due longest, or one that was put off further than any is, as Redis' clock has been set back
# since; nobody else takes it for a while, which is longer than a call takes. Answers its task and until when it is
# taken, by which the other scripts tell it from a later call of a task that was put back. ARGV: that while, in seconds,
# and the longest wait.
_CLAIM: Final = """
local answer = redis.call('TIME')
local now = tonumber(answer[1])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], 0, now, 'LIMIT', 0, 1)[1]
  or redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + ARGV[2], '+inf', 'LIMIT', 0, 1)[1]
if not due then return {} end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), due)
return {due, redis.call('ZSCORE', KEYS[1], due)}
"""

# Of each of these scripts ARGV begins with what _CLAIM answered: they do nothing where the call is another by now, as
# its task was put back and has ended anew, or was forgotten.
_TAKEN: Final = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
"""

_DONE: Final = f"""
{_TAKEN}
return redis.call('ZREM', KEYS[1], ARGV[1])
"""

# ARGV: for how many seconds.
_LEAVE: Final = f"""
{_TAKEN}
return redis.call('ZADD', KEYS[1], redis.call('TIME')[1] + ARGV[3], ARGV[1])
"""

# Puts a call off, and counts how often in the task's record, if that is still there. ARGV: most tries, first wait.
_POSTPONE: Final = f"""
{_TAKEN}
local tries = redis.call('EXISTS', KEYS[2]) == 1 and redis.call('HINCRBY', KEYS[2], 'callback_tries', 1)
if not tries or tries >= tonumber(ARGV[3]) then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], redis.call('TIME')[1] + ARGV[4] * 2 ^ (tries - 1), ARGV[1])
end
return tries or tonumber(ARGV[3])
"""


def checked_url(url: str, hosts: Sequence[str]) -> str:
    """Return an address that may be called.

    Args:
        url: What the caller wants called; nothing is fine.
        hosts: The hosts that the operator allows, with their ports if they are not the usual ones.

    Raises:
        ParameterError: It may not be called.
    """
    if not url:
        return ""
    if not hosts:
        raise ParameterError(
            "callback_url: expected none, as this service calls nobody (CALLBACK_HOSTS and CALLBACK_SECRET are not both"
            " set); leave it out and ask for the task's status"
        )
    if len(url) > _LONGEST_URL:
        raise ParameterError(
            f"callback_url: expected at most {_LONGEST_URL} characters, got {len(url)}"
        )
    # Of other characters, urlsplit leaves out some that httpx then stumbles over
    if not (url.isascii() and url.isprintable()) or " " in url or "#" in url:
        raise ParameterError(
            "callback_url: expected an address of printable ASCII without blanks and without a fragment, got another"
            " character; percent-encode it"
        )
    if not _is_allowed(url, hosts):
        raise ParameterError(
            "callback_url: expected an https address on one of the hosts that the operator allows"
            " (CALLBACK_HOSTS), got another one"
        )
    return url


def _is_allowed(url: str, hosts: Sequence[str]) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.netloc.lower()
    is_local = parts.scheme == "http" and host.rpartition(":")[0] in _LOOPBACK
    is_named = host.removesuffix(_HTTPS_PORT) in {each.removesuffix(_HTTPS_PORT) for each in hosts}
    return is_named and (parts.scheme == "https" or is_local)


def trusted_certificates() -> ssl.SSLContext:
    """Return TLS that trusts whom SSL_CERT_FILE or SSL_CERT_DIR name, or else the authorities of certifi.

    Raises:
        SettingsError: The file can't be used.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as err:  # ssl.SSLError among them
        raise SettingsError(
            "SSL_CERT_FILE: expected a file of certificates (PEM), got one that can't be read or has none; correct it"
            " or unset it"
        ) from err


class Callbacks:
    """Make the calls that are due, one at a time: what is claimed is called at once, or else by somebody else.

    A receiver that answers slowly, or not at all, is left alone for a while after each call, so that it holds up its
    own calls and not those of others.

    Args:
        client: A client of Redis, of this thread alone.
        ledger: Where tasks are.
        secret: What calls are signed with.
        hosts: Those that may be called now; a task may have been accepted when others were.
    """

    def __init__(
        self, client: redis.Redis, ledger: Ledger, secret: str, hosts: Sequence[str]
    ) -> None:
        self._ledger = ledger
        self._hosts = hosts
        self._secret = secret.encode()
        self._claim = Script(client, _CLAIM)
        self._done = Script(client, _DONE)
        self._leave = Script(client, _LEAVE)
        self._postpone = Script(client, _POSTPONE)
        self._tls = trusted_certificates()
        self._alone_until: dict[str, float] = {}

    def deliver_one(self) -> bool:
        """Make the call that is due longest, and tell whether there was one."""
        taken = [text(each) for each in self._claim([keys.OUTBOX], [_CLAIM_SECONDS, _LONGEST_WAIT])]
        if not taken:
            return False
        task = self._ledger.find(taken[0])
        if task is None:
            _log.warning("callback given up", extra={"task_id": taken[0]})
            self._done([keys.OUTBOX], taken)
        elif (rest := self._rest(task)) > 0:
            self._leave([keys.OUTBOX], [*taken, math.ceil(rest)])
        elif task.status not in DONE or not task.callback:
            self._done([keys.OUTBOX], taken)
        elif not _is_allowed(task.callback, self._hosts):
            # Another process may have the settings of a later start, which allow it
            self._put_off(taken, "host not in CALLBACK_HOSTS")
        elif error := self._call(task):
            self._put_off(taken, error)
        else:
            self._done([keys.OUTBOX], taken)
        return True

    def _call(self, task: Task) -> str:
        """Make a call, and return why its receiver has not taken it, or nothing if it has."""
        body = json.dumps(payload(task)).encode()
        moment = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            DELIVERY_HEADER: str(uuid.uuid5(uuid.UUID(task.task_id), repr(task.finished))),
            SIGNATURE_HEADER: f"t={moment},v1={signature(self._secret, moment, body)}",
        }
        begin = time.monotonic()
        try:
            return _run(self._post(task.callback, body, headers))
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as err:
            return _cause(err)
        finally:
            took = time.monotonic() - begin
            if took > _SLOW_SECONDS:
                self._alone_until[_host(task)] = time.monotonic() + _REST * took

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Post, and return the status unless it is one of success; the rest of the answer is left where it is.

        Raises:
            OSError: No status came in time, as httpx bounds single reads only; or the TLS of an answer is broken.
            httpx.HTTPError: The call failed otherwise.
        """
        async with (
            asyncio.timeout(_CALL_SECONDS),
            httpx.AsyncClient(
                verify=self._tls, timeout=_CALL_SECONDS, follow_redirects=False, trust_env=False
            ) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            return "" if answer.is_success else f"HTTP {answer.status_code}"

    def _rest(self, task: Task) -> float:
        """Return for how many seconds the receiver of a task's call is still left alone."""
        return self._alone_until.get(_host(task), 0.0) - time.monotonic()

    def _put_off(self, taken: Sequence[str], error: str) -> None:
        """Make a call later that was tried, unless it was tried often enough."""
        names = [keys.OUTBOX, keys.task_key(taken[0])]
        tries = self._postpone(names, [*taken, _MOST_TRIES, _FIRST_WAIT])
        if tries >= _MOST_TRIES:
            _log.warning("callback given up", extra={"task_id": taken[0], "error": error})


def _run(call: Coroutine[Any, Any, str]) -> str:
    """Do what asyncio.run does, but don't wait for a name that is still being resolved: that may take much longer."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(call)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _cause(error: BaseException) -> str:
    """Return the class of what failed below httpx, as SSLCertVerificationError: what it says may hold addresses."""
    while error.__context__ is not None and not isinstance(error, OSError):
        error = error.__context__
    return type(error).__name__


def _host(task: Task) -> str:
    return urlsplit(task.callback).netloc.lower()


def payload(task: Task) -> TaskDone:
    """Return what is sent: identifiers and the status, nothing of the image or its result."""
    found: TaskDone = {"event": "task.done", "task_id": task.task_id, "status": task.status}
    if task.reason:
        found["code"] = task.reason.code
    return found


def signature(secret: bytes, moment: str, body: bytes) -> str:
    """Return the HMAC-SHA256 over the moment, a dot and the body, hexadecimal."""
    return hmac.new(secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
