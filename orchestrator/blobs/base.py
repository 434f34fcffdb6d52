"""Say what keeps blobs, and how blobs are named."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Held = Callable[[Sequence[str]], Mapping[str, float]]


class Blobs(Protocol):
    """Keep bytes under a name for a while; API and workers see the same ones."""

    @property
    def in_redis(self) -> bool:
        """Tell whether what is put lies in Redis, where scripts give it its time and delete it."""
        ...

    def put(self, name: str, content: bytes, ttl: int) -> None:
        """Keep bytes for ``ttl`` seconds, in place of those that had the name.

        Raises:
            DependencyError: They can't be kept now.
        """
        ...

    def get(self, name: str) -> bytes | None:
        """Return the bytes, or None if there are none (any more).

        Raises:
            DependencyError: They can't be read now.
        """
        ...

    def delete(self, name: str) -> None:
        """Forget the bytes; none is no error.

        Raises:
            DependencyError: They can't be deleted now.
        """
        ...

    def sweep(self, held: Held) -> None:
        """Delete what has outlived its task, and keep what its task outlives, where that doesn't happen by itself.

        Args:
            held: Tells which of some names belong to a task, and until which moment.
        """
        ...


def upload_name(task_id: str) -> str:
    """Return the name of what was uploaded for a task."""
    return f"upload-{task_id}"


def result_name(task_id: str, attempt: int) -> str:
    """Return the name of what a try of a task resulted in."""
    return f"result-{task_id}-{attempt}"
