"""Keep blobs in Redis, where its own clock forgets them."""

from typing import Final

import redis

from orchestrator.blobs.base import Held
from orchestrator.redis_client import translated

PREFIX: Final = "cxr:blob:"


class RedisBlobs:
    """Keep each blob as a string with an expiry."""

    in_redis: Final = True

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, name: str, content: bytes, ttl: int) -> None:
        """See `Blobs.put`."""
        with translated():
            self._client.set(PREFIX + name, content, ex=ttl)

    def get(self, name: str) -> bytes | None:
        """See `Blobs.get`."""
        with translated():
            found = self._client.get(PREFIX + name)
        return found if isinstance(found, bytes) else None

    def delete(self, name: str) -> None:
        """See `Blobs.delete`."""
        with translated():
            self._client.unlink(PREFIX + name)

    def sweep(self, held: Held) -> None:
        """See `Blobs.sweep`; Redis does it by itself."""
