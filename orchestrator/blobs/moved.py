"""Find and forget blobs that were put where the settings had them before."""

from orchestrator.blobs.base import Blobs, Held


class MovedBlobs:
    """Keep blobs in one place, and look in another one, too: for what was put before, or by whoever is set otherwise.

    Args:
        blobs: Where blobs are put.
        others: Where else there may be some.
    """

    def __init__(self, blobs: Blobs, others: Blobs) -> None:
        self._blobs = blobs
        self._others = others

    @property
    def in_redis(self) -> bool:
        """See `Blobs.in_redis`."""
        return self._blobs.in_redis

    def put(self, name: str, content: bytes, ttl: int) -> None:
        """See `Blobs.put`."""
        self._blobs.put(name, content, ttl)

    def get(self, name: str) -> bytes | None:
        """See `Blobs.get`."""
        found = self._blobs.get(name)
        return self._others.get(name) if found is None else found

    def delete(self, name: str) -> None:
        """See `Blobs.delete`."""
        self._blobs.delete(name)
        self._others.delete(name)

    def sweep(self, held: Held) -> None:
        """See `Blobs.sweep`."""
        self._blobs.sweep(held)
        self._others.sweep(held)
