"""Know what a request was about."""

from collections.abc import Mapping
from typing import Final, Literal

from starlette.types import Scope

Identifier = Literal["task_id", "batch_id", "analysis_id"]

_SCOPE_KEY: Final = "cxr.subject"


def tell_subject(scope: Scope, name: Identifier, value: str) -> None:
    """Say which task, batch or analysis a request is about, by an identifier as this service makes them."""
    scope.setdefault(_SCOPE_KEY, {})[name] = value


def subject_of(scope: Scope) -> Mapping[str, str]:
    """Return what a request was about, as far as it was said."""
    found: Mapping[str, str] = scope.get(_SCOPE_KEY, {})
    return found
