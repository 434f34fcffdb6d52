"""Know who sent a request."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope as AsgiScope

from orchestrator.access.keys import SCOPES, Scope

_SCOPE_KEY: Final = "cxr.caller"


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


def tell_caller(scope: AsgiScope, caller: Caller) -> None:
    """Say who sent a request."""
    scope[_SCOPE_KEY] = caller


def caller_of(scope: AsgiScope) -> Caller | None:
    """Return who sent a request, or None if nobody has said so."""
    found: Caller | None = scope.get(_SCOPE_KEY)
    return found


def caller_name(scope: AsgiScope) -> str:
    """Return the name of the key that came with a request, or nothing."""
    found = caller_of(scope)
    return found.name if found else ""
