"""See how the queue and its workers stand."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import redis

from orchestrator.answers import QueueFigures
from orchestrator.errors import WorkersAwayError
from orchestrator.jobs import keys
from orchestrator.redis_client import text, translated

# For which what is written of a worker outlasts its last sign of life.
WORKER_SECONDS: Final = 90
# An idle worker gives one every fifteen seconds. How old the last is Redis says, by what is left of those: the clocks
# of its machine and of this one may differ.
_FRESH_SECONDS: Final = 35
_RETRY_AFTER: Final = 5
# Answers when the oldest of the tasks in a sorted set was accepted, or nothing. SORT would ask for the right to read
# every key.
_OLDEST: Final = f"""
local oldest = nil
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local created = redis.call('HGET', '{keys.TASK}' .. id, 'created')
  if created and (not oldest or tonumber(created) < tonumber(oldest)) then oldest = created end
end
return oldest
"""


@dataclass(frozen=True)
class Overview:
    """Figures of one moment.

    Attributes:
        workers: Workers that live.
        busy: Those of them that have a task.
        waiting: Tasks in the queue.
        running: Tasks that a worker has.
        retrying: Tasks that wait for their next try.
        failed: Tasks that failed and are still kept.
        oldest_waiting_seconds: How long ago the first of the queue, or the oldest of those that wait for their next
            try, was accepted.
        held_bytes: Bytes of uploads and results.
    """

    workers: int
    busy: int
    waiting: int
    running: int
    retrying: int
    failed: int
    oldest_waiting_seconds: float
    held_bytes: int

    def as_json(self) -> QueueFigures:
        """Return the figures as plain JSON values."""
        return cast(QueueFigures, asdict(self))

    def require_workers(self) -> None:
        """Make sure that somebody works.

        Raises:
            WorkersAwayError: No worker lives.
        """
        if self.workers == 0:
            raise WorkersAwayError(
                f"expected at least one worker, found none; {self.waiting} tasks wait; start one with"
                " 'cxr worker'",
                retry_after=_RETRY_AFTER,
            )


def ping(client: redis.Redis) -> None:
    """Make sure that Redis answers, and is no replica.

    Raises:
        RedisUnavailableError: It does not, or it is.
    """
    with translated():
        _refuse_replica(client, client.info("replication"))


def look(client: redis.Redis) -> Overview:
    """Return the figures of now.

    Raises:
        RedisUnavailableError: Redis can't be asked, or is a replica.
    """
    with translated(), client.pipeline(transaction=False) as pipe:
        seconds, microseconds = client.time()
        now = seconds + microseconds / 1e6
        pipe.info("replication")
        pipe.smembers(keys.RQ_WORKERS)
        pipe.llen(keys.RQ_QUEUE)
        pipe.zcount(keys.RQ_STARTED, now, "+inf")
        pipe.zcard(keys.RQ_SCHEDULED)
        pipe.zcount(keys.RQ_FAILED, now, "+inf")
        pipe.hget(keys.SIZES, "total")
        pipe.lindex(keys.RQ_QUEUE, 0)
        pipe.eval_ro(_OLDEST, 1, keys.RQ_SCHEDULED)
        replication, *found = pipe.execute()
        _refuse_replica(client, replication)
        names, waiting, running, retrying, failed, held, first, oldest = found
        states = _workers(client, sorted(text(name) for name in names))
        created = client.hget(keys.task_key(text(first)), "created") if first else None
        accepted = [float(text(moment)) for moment in (created, oldest) if moment]
    return Overview(
        workers=len(states),
        busy=states.count("busy"),
        waiting=waiting,
        running=running,
        retrying=retrying,
        failed=failed,
        oldest_waiting_seconds=round(now - min(accepted), 3) if accepted else 0.0,
        held_bytes=int(held or 0),
    )


def _refuse_replica(client: redis.Redis, replication: Mapping[str, Any]) -> None:
    """Take a replica for away, which reads but writes nothing; the address may lead to the new master by now."""
    if replication.get("role") == "slave":
        client.connection_pool.disconnect(inuse_connections=False)
        raise redis.ReadOnlyError("READONLY expected a master, got a replica")


def _workers(client: redis.Redis, names: list[str]) -> list[str]:
    """Return the states of the workers that live."""
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hmget(name, "state", "death")
            pipe.ttl(name)
        found = pipe.execute()
    return [
        text(state)
        for (state, death), left in zip(found[::2], found[1::2], strict=True)
        if not death and left > WORKER_SECONDS - _FRESH_SECONDS
    ]
