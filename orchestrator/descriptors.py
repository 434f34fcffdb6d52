"""See to it that a process may open as many files as its connections take."""

import logging
import resource
from typing import Final

_log = logging.getLogger(__name__)

# That of the caller, and two to Redis: for the limit of its requests, and for its entry in the audit trail.
_OF_EACH: Final = 3
_OTHERS: Final = 200


def allow_connections(connections: int) -> None:
    """Raise the limit of open files (setrlimit(2)) as far as is needed and allowed; warn if that is not enough.

    Args:
        connections: How many callers there may be at once.
    """
    needed = _OF_EACH * connections + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "too few files may be open; raise their limit (ulimit -n) or lower CONNECTIONS",
            extra={"limit": allowed, "needed": needed},
        )
