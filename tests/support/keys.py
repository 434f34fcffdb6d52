"""Make keys for a service under test."""

from collections.abc import Sequence

from orchestrator.access.keys import Scope, make_key

_made = {scope: make_key(f"{scope}-only", [scope]) for scope in ("predict", "read", "admin")}

PREDICT, READ, ADMIN = (_made[scope][0] for scope in ("predict", "read", "admin"))
API_KEYS = ",".join(entry.dumps() for _, entry in _made.values())


def bearer(key: str) -> dict[str, str]:
    """Return the headers that show a key."""
    return {"Authorization": f"Bearer {key}"}


def named(name: str, scopes: Sequence[Scope]) -> tuple[str, str]:
    """Return a key of a name, and its entry."""
    key, entry = make_key(name, scopes)
    return key, entry.dumps()
