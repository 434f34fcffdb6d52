"""Say of every path who may ask for it; what is not named here needs the scope ``admin``."""

import re
from collections.abc import Mapping
from typing import Final

from orchestrator.access.keys import SCOPES, Scope

# Any of these scopes will do; an empty set needs no key.
Need = frozenset[Scope]

OPEN: Final[Need] = frozenset()
PREDICT: Final[Need] = frozenset({"predict"})
READ: Final[Need] = frozenset({"read"})
FOLLOW: Final[Need] = frozenset({"predict", "read"})
ANY: Final[Need] = frozenset(SCOPES)
ADMIN: Final[Need] = frozenset({"admin"})

POLICY: Final[Mapping[tuple[str, str], Need]] = {
    ("GET", "/health"): OPEN,
    ("GET", "/health/model"): OPEN,
    ("GET", "/health/redis"): OPEN,
    ("GET", "/health/celery"): OPEN,
    ("GET", "/health/workers"): OPEN,
    ("GET", "/health/ready"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/static"): OPEN,
    # The link is signed and ends: it is a key to this one picture.
    ("GET", "/files/{key}"): OPEN,
    ("GET", "/"): READ,
    ("POST", "/densenet_predict"): PREDICT,
    ("POST", "/v2/densenet_predict"): PREDICT,
    ("POST", "/async/densenet_predict"): PREDICT,
    ("POST", "/async/v2/densenet_predict"): PREDICT,
    ("POST", "/async/batch"): PREDICT,
    # Identifiers of tasks are random: who knows one has submitted it, or was told by who has.
    ("GET", "/tasks/{task_id}"): FOLLOW,
    ("GET", "/tasks/{task_id}/result"): FOLLOW,
    ("GET", "/tasks/{task_id}/events"): FOLLOW,
    ("GET", "/batches/{batch_id}"): FOLLOW,
    ("GET", "/batches/{batch_id}/result"): FOLLOW,
    ("DELETE", "/tasks/{task_id}"): PREDICT,
    ("GET", "/stats/diseases/summary"): READ,
    ("GET", "/stats/diseases/weekly"): READ,
    ("GET", "/stats/diseases/daily"): READ,
    ("GET", "/metrics"): ADMIN,
    ("GET", "/audit"): ADMIN,
}

# What the audit trail has: whatever sends, takes or deletes something of a patient's, and looks at the trail.
AUDITED: Final = frozenset(
    {
        *(operation for operation in POLICY if operation[0] in ("POST", "DELETE")),
        ("GET", "/tasks/{task_id}/result"),
        ("GET", "/batches/{batch_id}/result"),
        ("GET", "/audit"),
    }
)


def need_of(method: str, template: str) -> Need:
    """Return which scopes open an operation."""
    return POLICY.get(("GET" if method == "HEAD" else method, template), ADMIN)


def operation_id(method: str, template: str) -> str:
    """Return the name of an operation for programs, such as ``get_tasks_task_id``."""
    return "_".join([method.lower(), *re.findall(r"[a-z0-9_]+", template)])
