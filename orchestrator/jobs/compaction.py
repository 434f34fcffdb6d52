"""Have Redis make its append-only file anew once a day, so that what was deleted leaves the disk.

Redis itself goes by size alone: a file that grows slowly would hold deleted radiographs for months.
"""

import logging
from typing import Final

import redis

from orchestrator.jobs import keys
from orchestrator.redis_client import translated

_log = logging.getLogger(__name__)

_DAY: Final = 86_400
_REMEMBERED: Final = 400 * _DAY  # longer than a service rests that is started now and then
_PERCENTAGE: Final = "auto-aof-rewrite-percentage"


def compact(client: redis.Redis) -> None:
    """Do it if nobody has within a day and the file has grown; called often, as that costs one command.

    A Redis that knows of no last time may have been emptied by mistake, and its file be all that is left: there the day
    begins now.

    Where an operator has forbidden rewriting, as one does who copies the file, it is left for the next day. A Redis
    that does not let this client do it is left alone, and the log says so.

    Raises:
        RedisUnavailableError: Redis is away.
    """
    with translated():
        left = client.ttl(keys.COMPACTED)
        if left > _REMEMBERED - _DAY:
            return
        client.set(keys.COMPACTED, b"1", ex=_REMEMBERED)
        if left < 0:
            return
        try:
            found = client.info("persistence")
            has_grown = found["aof_enabled"] and found["aof_current_size"] > found["aof_base_size"]
            if has_grown and client.config_get(_PERCENTAGE)[_PERCENTAGE] != "0":
                client.bgrewriteaof()
        except redis.ResponseError as err:
            _log.warning("append-only file not made anew", extra={"error": type(err).__name__})
