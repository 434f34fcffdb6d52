"""Say what a store does, and how its objects are named."""

import hmac
import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from orchestrator.study import Overlay

_NAME: Final = re.compile(r"[0-9a-f]{32}")


class Store(Protocol):
    """Keep the overlays of analyses.

    What is put under one name twice replaces itself: a job that is run twice leaves what one run leaves.
    """

    def name(self, analysis_id: str) -> str:
        """Return a name for the overlays of an analysis, which nobody guesses without the store's secret.

        It is the same as long as the secret is. Whoever may have to find them after that must keep it.
        """
        ...

    def put(
        self,
        name: str,
        overlays: Sequence[Overlay],
        may_take_back: Callable[[], bool] = lambda: True,
    ) -> tuple[str, ...]:
        """Keep overlays and return their URLs, in order; those of this service begin with a slash.

        Args:
            name: From :meth:`name`.
            overlays: The pictures of an analysis.
            may_take_back: Asked when some can't be kept, before those that are get deleted: tells whether
                nobody else can have kept the same meanwhile.

        Raises:
            StoreUnavailableError: They can't be kept now.
            StoreRejectedError: They can't be kept until the operator mends something.
            ResultTooLargeError: One has more bytes than the store takes.
        """
        ...

    def delete(self, name: str) -> None:
        """Forget every overlay of a name; none is no error.

        Raises:
            StoreUnavailableError: They can't be deleted now.
            StoreRejectedError: They can't be deleted until the operator mends something.
        """
        ...

    def sweep(self) -> int:
        """Forget what has outlived its time, where that doesn't happen elsewhere or not at all; return how much.

        Raises:
            StoreUnavailableError: It can't be deleted now.
        """
        ...


def object_name(secret: bytes, analysis_id: str) -> str:
    """Return the name of an analysis inside a store: 128 bits that nobody guesses without the secret.

    Identifiers of analyses stand in reports and logs; a name made of one must not lead to its pictures.
    """
    return hmac.digest(secret, b"overlay:" + analysis_id.encode(), "sha256").hex()[:32]


def is_object_name(text: str) -> bool:
    """Tell whether a text may be what :func:`object_name` returns: no path, no pattern."""
    return _NAME.fullmatch(text) is not None
