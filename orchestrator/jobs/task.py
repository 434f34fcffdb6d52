"""Hold what is known of a task, and write it as the HTTP contract says."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from orchestrator import errors
from orchestrator.answers import Status, TaskAnswer
from orchestrator.errors import ServiceError
from orchestrator.study import Options

Kind = Literal["zip", "hosted"]

WAITING: Final[tuple[Status, ...]] = ("PENDING", "RETRY")
DONE: Final[tuple[Status, ...]] = ("SUCCESS", "FAILURE")


@dataclass(frozen=True)
class Reason:
    """Why a task failed, or why it is tried again: an error of the project's tree as plain text."""

    code: str
    detail: str

    @classmethod
    def of(cls, error: ServiceError) -> "Reason":
        """Return what of an error is told to the caller."""
        return cls(error.code, error.detail)

    def as_error(self) -> ServiceError:
        """Return the error again, with its status and title."""
        return _BY_CODE.get(self.code, ServiceError)(self.detail)

    def dumps(self) -> str:
        """Return the reason as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> "Reason | None":
        """Read what :meth:`dumps` wrote; nothing is no reason."""
        return cls(**json.loads(text)) if text else None


@dataclass(frozen=True, kw_only=True)
class Task:
    """One accepted analysis.

    Attributes:
        task_id: Random identifier, known to the caller.
        analysis_id: Identifier of its analysis: the same however often it is tried.
        kind: What it results in: a ZIP, or JSON with URLs.
        status: The word of the HTTP contract.
        stage: What is being done, while it is.
        options: What to draw, as JSON.
        created: Moment of acceptance, in seconds since 1970.
        started: Moment at which it was last begun, or None.
        finished: Moment at which it ended, or None.
        attempts: How often it was begun.
        reason: Why it failed, or why it is tried again.
        callback: Address to call when it is done, or empty.
        result_until: Moment at which the result is forgotten, or None.
        traceparent: The span of the request that brought it, or empty.
        caller: Name of the key that it was sent with, or empty; callers are not told.
        batch: Identifier of its batch, or empty.
        audit: Seconds that the audit trail keeps its end, or 0 to leave it out.
        pictures: Name of its pictures in the store, or empty as long as none were put there.
        kept: Number of the try that it succeeded with, whose result is kept; 0 as long as none has.
    """

    task_id: str
    analysis_id: str
    kind: Kind
    status: Status = "PENDING"
    stage: str = ""
    options: str
    created: float
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    reason: Reason | None = None
    callback: str = ""
    result_until: float | None = None
    traceparent: str = ""
    caller: str = ""
    batch: str = ""
    audit: int = 0
    pictures: str = ""
    kept: int = 0

    @classmethod
    def from_record(cls, task_id: str, record: Mapping[str, str]) -> "Task":
        """Read a record as it lies in Redis.

        Raises:
            ValueError: It is none.
        """
        status, kind = record.get("status"), record.get("kind")
        if status not in get_args(Status) or kind not in get_args(Kind):
            raise ValueError("expected the record of a task")
        return cls(
            task_id=task_id,
            analysis_id=record["analysis_id"],
            kind=cast(Kind, kind),
            status=cast(Status, status),
            stage=record.get("stage", ""),
            options=record["options"],
            created=float(record["created"]),
            started=_moment(record, "started"),
            finished=_moment(record, "finished"),
            attempts=int(record.get("attempts", 0)),
            reason=Reason.loads(record.get("reason", "")),
            callback=record.get("callback", ""),
            result_until=_moment(record, "result_until"),
            traceparent=record.get("traceparent", ""),
            caller=record.get("caller", ""),
            batch=record.get("batch", ""),
            audit=int(record.get("audit", 0)),
            pictures=record.get("pictures", ""),
            kept=int(record.get("kept", 0)),
        )

    def as_record(self) -> dict[str, str]:
        """Return the record of a task that is being accepted."""
        record = {
            "analysis_id": self.analysis_id,
            "kind": self.kind,
            "status": self.status,
            "options": self.options,
            "created": repr(self.created),
        }
        asked = {
            "callback": self.callback,
            "traceparent": self.traceparent,
            "caller": self.caller,
            "batch": self.batch,
            "audit": str(self.audit or ""),
        }
        return record | {name: value for name, value in asked.items() if value}

    def as_json(self, position: int | None = None) -> TaskAnswer:
        """Return the task as the HTTP contract describes it."""
        found: TaskAnswer = {
            "task_id": self.task_id,
            "status": self.status,
            "created_at": _iso(self.created),
            "attempts": self.attempts,
        }
        if self.started is not None:
            found["started_at"] = _iso(self.started)
        if self.finished is not None:
            found["finished_at"] = _iso(self.finished)
        if self.stage:
            found["stage"] = self.stage
        if position is not None and self.status in WAITING:
            found["position"] = position
        if self.status == "FAILURE" and self.reason is not None:
            found["error"], found["code"] = self.reason.detail, self.reason.code
        if self.status == "RETRY" and self.reason is not None:
            found["waiting_for"], found["code"] = self.reason.detail, self.reason.code
        return found


def dump_options(options: Options) -> str:
    """Return options as JSON."""
    return json.dumps(asdict(options))


def load_options(text: str) -> Options:
    """Read what :func:`dump_options` wrote."""
    values = json.loads(text)
    if isinstance(values["heatmaps"], list):
        values["heatmaps"] = tuple(values["heatmaps"])
    return Options(**values)


def _moment(record: Mapping[str, str], name: str) -> float | None:
    found = record.get(name)
    return float(found) if found else None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def _tree(cls: type[ServiceError]) -> list[type[ServiceError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in _tree(child))]


_BY_CODE: Final = {cls.code: cls for cls in _tree(errors.ServiceError)}
