"""Say what a store does, and how its objects are named."""

import hmac
from collections.abc import Callable, Sequence
from typing import Protocol

from orchestrator.study import Overlay


class Store(Protocol):
    """Keep the overlays of analyses.

    Names follow from the analysis' identifier, so putting the same analysis again replaces its
    overlays: a job that is run twice leaves what one run leaves.
    """

    def put(
        self,
        analysis_id: str,
        overlays: Sequence[Overlay],
        may_take_back: Callable[[], bool] = lambda: True,
    ) -> tuple[str, ...]:
        """Keep overlays and return their URLs, in order; those of this service begin with a slash.

        Args:
            analysis_id: Identifier of the analysis.
            overlays: Its pictures.
            may_take_back: Asked when some can't be kept, before those that are get deleted: tells whether
                nobody else can have kept the same analysis meanwhile.

        Raises:
            StoreUnavailableError: They can't be kept now.
            StoreRejectedError: They can't be kept until the operator mends something.
        """
        ...

    def delete(self, analysis_id: str) -> None:
        """Forget every overlay of an analysis; none is no error.

        Raises:
            StoreUnavailableError: They can't be deleted now.
            StoreRejectedError: They can't be deleted until the operator mends something.
        """
        ...


def object_name(secret: bytes, analysis_id: str) -> str:
    """Return the name of an analysis inside a store: 128 bits that nobody guesses without the secret.

    Identifiers of analyses stand in reports and logs; a name made of one must not lead to its pictures.
    """
    return hmac.digest(secret, b"overlay:" + analysis_id.encode(), "sha256").hex()[:32]
