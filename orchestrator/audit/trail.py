"""Keep the audit trail as a stream in Redis: entries are added at its end, and go when they are old.

The end of a task is added by the script that ends it, in the same moment and so exactly once.
"""

import logging
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis
import redis.asyncio
from prometheus_client import Counter

from orchestrator.answers import AuditAnswer, AuditEntry
from orchestrator.errors import RedisUnavailableError
from orchestrator.redis_client import Pause, text, translated

_log = logging.getLogger(__name__)

KEY: Final = "cxr:audit"
PATIENCE_SECONDS: Final = 5.0  # no caller waits for an entry
_UPKEEP_SECONDS: Final = 10

_IDENTIFIERS: Final = ("task_id", "batch_id", "analysis_id", "request_id")
FIELDS: Final = ("caller", "action", "outcome", "status", *_IDENTIFIERS)
_PACKED_BYTES: Final = 16
# An entry is one field of the stream. Its name is the texts of FIELDS with tabs between them, empty where there is
# nothing to say: Redis keeps it once for entries beside each other that have the same. For identifiers of 16 bytes
# (RFC 9562), which differ in each, it has a mark, and their bytes follow each other in the field's value: as text each
# takes 36.
_MARK: Final = "*"
_BETWEEN: Final = "\t"

# ARGV: seconds that entries are kept, how many are, seconds until the next time, which the stream outlasts. What is old
# Redis says, whose time the identifiers are: a process whose clock is ahead would have all of them go. It goes to the
# last entry, as this is done seldom; the ends of tasks take whole nodes of the stream, of a hundred entries.
_UPKEEP: Final = """
local oldest = (tonumber(redis.call('TIME')[1]) - tonumber(ARGV[1])) * 1000
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', oldest))
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[2])
redis.call('EXPIRE', KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[3]))
"""

# Defines audit(key, id, outcome): adds the end of a task whose record, at the key, asks for it, by saying for how many
# seconds entries are kept.
AUDIT: Final = f"""
local function packed(identifier)
  if #identifier ~= 36 then return identifier, '' end
  local digits = identifier:gsub('-', '')
  return '{_MARK}', (digits:gsub('%x%x', function(pair) return string.char(tonumber(pair, 16)) end))
end
local function audit(key, id, outcome)
  local found = redis.call('HMGET', key, 'audit', 'caller', 'analysis_id')
  if not found[1] then return end
  local oldest = (tonumber(redis.call('TIME')[1]) - tonumber(found[1])) * 1000
  local task, task_bytes = packed(id)
  local analysis, analysis_bytes = packed(found[3])
  local texts = table.concat(
    {{found[2] or '', 'task', outcome, '', task, '', analysis, ''}}, '{_BETWEEN}')
  redis.call('XADD', '{KEY}', 'MINID', '~', string.format('%.0f', oldest), '*', texts, task_bytes .. analysis_bytes)
  redis.call('EXPIRE', '{KEY}', found[1])
end
"""


@dataclass(frozen=True)
class Retention:
    """How much is kept.

    Attributes:
        seconds: How long an entry is kept.
        entries: How many are kept, about; the oldest go first.
    """

    seconds: int
    entries: int


class AuditWriter:
    """Add what the API does.

    Attributes:
        missed: Counts the entries that could not be added and are in the log instead; for a registry to take up.

    Args:
        pool: Connections to Redis, which wait for it as long as PATIENCE_SECONDS; as many entries may wait as there
            are connections, and others are in the log at once.
        retention: How much is kept.
    """

    def __init__(self, pool: redis.asyncio.ConnectionPool, retention: Retention) -> None:
        self.missed = Counter(
            "cxr_audit_missed",
            "Entries of the audit trail that are in the log only, as Redis was away.",
            registry=None,
        )
        self._client = redis.asyncio.Redis(connection_pool=pool)
        self._retention = retention
        self._pause = Pause()
        self._upkeep = 0.0

    async def append(self, fields: Mapping[str, str]) -> None:
        """Add an entry; without Redis, write it to the log."""
        if not self._pause.lasts():
            try:
                await self._add(fields)
            except RedisUnavailableError:
                self._pause.begin()
            else:
                self._pause.end()
                return
        self.missed.inc()
        # Of the most severe level, so that no LOG_LEVEL leaves it out: it is nowhere else
        _log.error("audit entry not kept", extra={"audit": dict(fields)})

    async def _add(self, fields: Mapping[str, str]) -> None:
        entry: dict[Any, Any] = dict([_written(fields)])
        with translated():
            # Alone, as that takes half the time, but where the stream is new
            if time.monotonic() < self._upkeep and await self._client.xadd(
                KEY, entry, nomkstream=True
            ):
                return
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.xadd(KEY, entry)
                kept = self._retention
                pipe.eval(_UPKEEP, 1, KEY, kept.seconds, kept.entries, _UPKEEP_SECONDS)
                await pipe.execute()
        self._upkeep = time.monotonic() + _UPKEEP_SECONDS


class AuditReader:
    """Give the trail out, oldest entries first.

    Args:
        client: A client of Redis.
        seconds: How long an entry is kept; Redis may hold older ones.
    """

    def __init__(self, client: redis.Redis, seconds: int) -> None:
        self._client = client
        self._seconds = seconds

    def read(self, after: str | None, count: int) -> AuditAnswer:
        """Return some entries, and where to go on.

        Args:
            after: Identifier of the last entry that was seen, or None to begin with the oldest.
            count: How many at most.

        Raises:
            RedisUnavailableError: They can't be read now.
        """
        with translated():
            oldest = (self._client.time()[0] - self._seconds) * 1000
            is_kept = after and int(after.partition("-")[0]) >= oldest
            found: Any = self._client.xrange(KEY, f"({after}" if is_kept else oldest, count=count)
        entries = [_entry(identifier.decode(), _read(fields)) for identifier, fields in found]
        return {
            "entries": entries,
            "next": entries[-1]["id"] if len(entries) == count else None,
        }


def _written(fields: Mapping[str, str]) -> tuple[str, bytes]:
    """Return an entry as name and value of the stream's field."""
    texts, packed = [], []
    for name in FIELDS:
        text_, bytes_ = _packed(name, fields.get(name, ""))
        texts.append(text_)
        packed.append(bytes_)
    return _BETWEEN.join(texts), b"".join(packed)


def _packed(name: str, value: str) -> tuple[str, bytes]:
    """Return the mark and the bytes of an identifier if they say all of it; anything else as it is."""
    if name in _IDENTIFIERS and value:
        with suppress(ValueError):
            found = uuid.UUID(value)
            if str(found) == value:
                return _MARK, found.bytes
    return value, b""


def _read(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return what an entry says, as texts; what it says nothing of is left out."""
    ((texts, packed),) = fields.items()
    found = dict(zip(FIELDS, text(texts).split(_BETWEEN), strict=True))
    for name in _IDENTIFIERS:
        if found[name] == _MARK:
            found[name] = str(uuid.UUID(bytes=packed[:_PACKED_BYTES]))
            packed = packed[_PACKED_BYTES:]
    return {name: value for name, value in found.items() if value}


def _entry(identifier: str, fields: Mapping[str, str]) -> AuditEntry:
    moment = datetime.fromtimestamp(int(identifier.partition("-")[0]) / 1000, UTC)
    found: AuditEntry = {
        "id": identifier,
        "time": moment.isoformat(timespec="milliseconds"),
        "caller": fields.get("caller", ""),
        "action": fields["action"],
        "outcome": fields["outcome"],
    }
    if "status" in fields:
        found["status"] = int(fields["status"])
    for name in _IDENTIFIERS:
        if name in fields:
            found[name] = fields[name]
    return found
