"""Pack what a task results in, keep it, and give it out."""

import json
from collections.abc import Callable

from orchestrator.blobs.base import Blobs, result_name, upload_name
from orchestrator.errors import TaskExpiredError
from orchestrator.hosted import host
from orchestrator.jobs.task import Task
from orchestrator.package import as_zip
from orchestrator.storage.base import Store, is_object_name
from orchestrator.study import Analysis


def pictures(task: Task, store: Store) -> str:
    """Return the name of a hosted task's pictures in the store: the one that they were first put under, if any were.

    Whoever can write to Redis could otherwise say which files are written and deleted.
    """
    return task.pictures if is_object_name(task.pictures) else store.name(task.analysis_id)


class Results:
    """Keep one blob per try of a task: the ZIP, or the report with URLs as JSON.

    Two tries may be under way at once, as a worker that stands still loses its task; the task says whose result is its.
    """

    def __init__(self, blobs: Blobs, ttl: int) -> None:
        self._blobs = blobs
        self._ttl = ttl

    def pack(
        self, task: Task, analysis: Analysis, store: Store, may_take_back: Callable[[], bool]
    ) -> bytes:
        """Return the bytes that a task results in, its overlays being kept in the store if it is asked for URLs."""
        if task.kind == "hosted":
            return json.dumps(host(analysis, store, pictures(task, store), may_take_back)).encode()
        return as_zip(analysis)

    def put(self, task: Task, result: bytes) -> None:
        """Keep the result of the try that a task was begun for."""
        self._blobs.put(result_name(task.task_id, task.attempts), result, self._ttl)

    def take_back(self, task: Task) -> None:
        """Delete the result of the try that a task was begun for."""
        self._blobs.delete(result_name(task.task_id, task.attempts))

    def get(self, task: Task) -> bytes:
        """Return the result of a task that has succeeded.

        Raises:
            TaskExpiredError: It is no longer kept.
        """
        found = self._blobs.get(result_name(task.task_id, task.kept))
        if found is None:
            raise TaskExpiredError(
                "the result of this task is no longer kept; send the image again"
            )
        return found

    def delete(self, task: Task) -> None:
        """Forget the upload and the results of a task, where Redis does not by itself."""
        self._blobs.delete(upload_name(task.task_id))
        for attempt in range(1, task.attempts + 2):  # one may have begun since the task was read
            self._blobs.delete(result_name(task.task_id, attempt))
