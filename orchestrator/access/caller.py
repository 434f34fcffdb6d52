"""Know who sent a request."""

from dataclasses import dataclass
from typing import Final

from orchestrator.access.keys import SCOPES, Scope


@dataclass(frozen=True)
class Caller:
    """Who sent a request, and what they may do.

    Attributes:
        name: That of the key, or empty where access is open.
        scopes: What may be done.
    """

    name: str
    scopes: frozenset[Scope]

    def may(self, need: frozenset[Scope]) -> bool:
        """Tell whether what is asked for is allowed: any of its scopes will do, and ``admin`` always does."""
        return "admin" in self.scopes or bool(need & self.scopes)


ANYBODY: Final = Caller("", frozenset(SCOPES))
