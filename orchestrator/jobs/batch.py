"""Follow the tasks of a batch, and pack their results into one ZIP."""

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from orchestrator.answers import BatchAnswer, BatchEntry, BatchStatus, EntryStatus
from orchestrator.errors import TaskExpiredError, TaskNotFoundError
from orchestrator.jobs import keys
from orchestrator.jobs.ledger import Ledger
from orchestrator.jobs.results import Results
from orchestrator.jobs.task import DONE, Task
from orchestrator.package import DATE, REPORT_NAME
from orchestrator.redis_client import text, translated

_SUMMARY_NAME: Final = "summary.csv"
_CHUNK: Final = 65_536


@dataclass(frozen=True)
class Batch:
    """The tasks of one batch, in the order in which their images were sent; None for a forgotten one."""

    batch_id: str
    task_ids: tuple[str, ...]
    tasks: tuple[Task | None, ...]

    @classmethod
    def of(cls, batch_id: str, tasks: Sequence[Task]) -> "Batch":
        """Return a batch of which every task is known."""
        return cls(batch_id, tuple(task.task_id for task in tasks), tuple(tasks))

    @property
    def done(self) -> bool:
        """Tell whether no task is left to be done."""
        return all(task is None or task.status in DONE for task in self.tasks)

    def has_expired(self, now: float) -> bool:
        """Tell whether no task's result is kept any more."""
        ends = (task.result_until if task else 0 for task in self.tasks)
        return all(end is not None and end <= now for end in ends)

    def as_json(self) -> BatchAnswer:
        """Return the batch as the HTTP contract describes it; an image is known by its place, counted from 1."""
        statuses = [_status(task) for task in self.tasks]
        return {
            "batch_id": self.batch_id,
            "status": self._status(statuses),
            "count": len(statuses),
            "counts": dict(Counter(statuses)),
            "tasks": [
                _entry(index, *pair)
                for index, pair in enumerate(zip(self.task_ids, self.tasks, strict=True), 1)
            ],
        }

    def _status(self, statuses: Sequence[str]) -> BatchStatus:
        if self.done:
            return "SUCCESS" if "SUCCESS" in statuses else "FAILURE"
        return "PENDING" if set(statuses) <= {"PENDING", "FORGOTTEN"} else "STARTED"


class Batches:
    """Find batches, and give out their results."""

    def __init__(self, client: redis.Redis, ledger: Ledger, results: Results) -> None:
        self._client = client
        self._ledger = ledger
        self._results = results

    def find(self, batch_id: str) -> Batch:
        """Return a batch.

        Raises:
            TaskNotFoundError: It is unknown, or all of its tasks are forgotten.
        """
        with translated():
            found = self._client.lrange(keys.batch_key(batch_id), 0, -1)
        task_ids = tuple(text(each) for each in list(found))
        tasks = tuple(self._ledger.find_all(task_ids))
        if not any(tasks):
            raise TaskNotFoundError(
                "expected the identifier of a batch, got one that no batch has, or that was forgotten"
            )
        return Batch(batch_id, task_ids, tasks)

    def archive(self, batch: Batch) -> Iterator[bytes]:
        """Return a ZIP, piece by piece: a folder per image with its report and overlays, and a table of all.

        Raises:
            TaskExpiredError: None of its results is kept any more.
        """
        with translated():
            now, _ = self._client.time()
        if batch.has_expired(now):
            raise TaskExpiredError(
                "the results of this batch are no longer kept; send the images again"
            )
        return self._pieces(batch)

    def _pieces(self, batch: Batch) -> Iterator[bytes]:
        pipe = _Pipe()
        rows: list[dict[str, Any]] = []
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
            for index, task in enumerate(batch.tasks, 1):
                rows.append({"index": index, **self._add(archive, f"{index:04d}", task)})
                yield from pipe.take(_CHUNK)
            archive.writestr(zipfile.ZipInfo(_SUMMARY_NAME, DATE), _table(rows))
        yield from pipe.take(0)

    def _add(self, archive: zipfile.ZipFile, folder: str, task: Task | None) -> dict[str, Any]:
        """Copy the result of a task into the archive, and return its line of the table."""
        if task is None or task.status != "SUCCESS":
            code = task.reason.code if task and task.reason else ""
            return {"status": _status(task), "code": code}
        try:
            content = self._results.get(task)
        except TaskExpiredError as err:
            return {"status": "EXPIRED", "code": err.code}
        with zipfile.ZipFile(io.BytesIO(content)) as result:
            for name in result.namelist():
                archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", DATE), result.read(name))
            report = json.loads(result.read(REPORT_NAME))
        probabilities = {each["label"]: each["probability"] for each in report["predictions"]}
        return {
            "status": "SUCCESS",
            "analysis_id": report["analysis_id"],
            "findings": "|".join(report["findings"]),
            **probabilities,
            "model": report["model"]["name"],
            "version": report["model"]["version"],
            "warnings": "|".join(report["warnings"]),
        }


class _Pipe(io.RawIOBase):
    """Take what a ZIP writer writes, and give it on."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._size += len(piece)
        return len(piece)

    def take(self, least: int) -> Iterator[bytes]:
        """Yield what has come, once it is worth it."""
        if self._size > least:
            content = b"".join(self._pieces)
            self._pieces, self._size = [], 0
            yield content


def _status(task: Task | None) -> EntryStatus:
    return "FORGOTTEN" if task is None else task.status


def _entry(index: int, task_id: str, task: Task | None) -> BatchEntry:
    found: BatchEntry = {"index": index, "task_id": task_id, "status": _status(task)}
    if task is not None and task.status == "FAILURE" and task.reason is not None:
        found["error"], found["code"] = task.reason.detail, task.reason.code
    return found


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = ["index", "status", "code", "analysis_id", "findings"]
    last = ["model", "version", "warnings"]
    labels = dict.fromkeys(name for row in rows for name in row if name not in columns + last)
    file = io.StringIO()
    table = csv.DictWriter(file, [*columns, *labels, *last], restval="")
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()
