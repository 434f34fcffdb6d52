"""Look after pictures that lie on the disk from before the settings named another store."""

from collections.abc import Callable, Sequence

from orchestrator.storage.base import Store
from orchestrator.storage.disk import DiskStore
from orchestrator.study import Overlay


class MovedStore:
    """Keep overlays in one store, and have those that another one keeps forgotten as well, in their time or when asked.

    Attributes:
        before: The store on the disk, which the links to its files still lead to.

    Args:
        store: Where overlays are put.
        before: Where they were put once.
    """

    def __init__(self, store: Store, before: DiskStore) -> None:
        self.before = before
        self._store = store

    def name(self, analysis_id: str) -> str:
        """See `Store.name`."""
        return self._store.name(analysis_id)

    def put(
        self,
        name: str,
        overlays: Sequence[Overlay],
        may_take_back: Callable[[], bool] = lambda: True,
    ) -> tuple[str, ...]:
        """See `Store.put`."""
        return self._store.put(name, overlays, may_take_back)

    def delete(self, name: str) -> None:
        """See `Store.delete`."""
        self.before.delete(name)
        self._store.delete(name)

    def sweep(self) -> int:
        """See `Store.sweep`."""
        return self.before.sweep() + self._store.sweep()
