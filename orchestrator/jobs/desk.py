"""What the API does with tasks: accept, show, hand out, forget."""

from dataclasses import dataclass
from typing import Final

from orchestrator.answers import BatchAnswer, TaskAnswer
from orchestrator.errors import ServiceError, TaskNotFoundError, TaskRunningError
from orchestrator.jobs.batch import Batch, Batches
from orchestrator.jobs.ledger import Ledger
from orchestrator.jobs.results import Results, pictures
from orchestrator.jobs.submit import Submission, Submitter
from orchestrator.jobs.task import DONE, Task
from orchestrator.storage.base import Store

_UNKNOWN: Final = (
    "expected the identifier of a task, got one that no task has, or that was forgotten long ago"
)


@dataclass(frozen=True)
class Desk:
    """Serve callers; every method blocks on Redis and raises RedisUnavailableError if it is away."""

    ledger: Ledger
    submitter: Submitter
    results: Results
    batches: Batches
    store: Store

    def submit(self, submission: Submission, idempotency: str = "") -> TaskAnswer:
        """Accept one upload and return its task as JSON; see `Submitter.submit`."""
        accepted = self.submitter.submit(submission, idempotency)
        if not accepted.tasks:
            return self.show(accepted.identifier)
        return accepted.tasks[0].as_json(accepted.position)

    def submit_batch(
        self, submission: Submission, idempotency: str = ""
    ) -> tuple[BatchAnswer, int]:
        """Accept many uploads, all or none; see `Submitter.submit`.

        Returns:
            Their batch as JSON, and how many tasks are new: none if it had been accepted before.
        """
        accepted = self.submitter.submit(submission, idempotency)
        if not accepted.tasks:
            return self.batches.find(accepted.identifier).as_json(), 0
        return Batch.of(accepted.identifier, accepted.tasks).as_json(), len(accepted.tasks)

    def task(self, task_id: str) -> Task:
        """Return a task.

        Raises:
            TaskNotFoundError: It is unknown.
        """
        found = self.ledger.find(task_id)
        if found is None:
            raise TaskNotFoundError(_UNKNOWN)
        return found

    def show(self, task_id: str) -> TaskAnswer:
        """Return a task as JSON, with its place in the queue.

        Raises:
            TaskNotFoundError: It is unknown.
        """
        task = self.task(task_id)
        waits = task.status not in DONE and task.status != "STARTED"
        return task.as_json(self.ledger.position(task_id) if waits else None)

    def result(self, task_id: str) -> tuple[Task, bytes | None]:
        """Return a task and its result, None while there is none yet.

        Raises:
            TaskNotFoundError: It is unknown.
            TaskExpiredError: Its result is no longer kept.
            ServiceError: The task's own, if it failed.
        """
        task = self.task(task_id)
        if task.status == "FAILURE":
            raise task.reason.as_error() if task.reason else ServiceError("the task failed")
        if task.status != "SUCCESS":
            return task, None
        return task, self.results.get(task)

    def forget(self, task_id: str) -> None:
        """Cancel a waiting task, or remove every trace of one that is done.

        Raises:
            TaskNotFoundError: It is unknown.
            TaskRunningError: It is being worked on.
        """
        task = self.task(task_id)
        is_hosted = task.kind == "hosted"
        # First, as after the record nobody knows of them. Those of a failed one, too: all but its last step may be done
        if is_hosted and task.attempts and task.status != "STARTED":
            self.store.delete(pictures(task, self.store))
        status = self.ledger.forget(task_id)
        if status == "STARTED":
            raise TaskRunningError(
                "expected a task that waits or is done, got one that is being worked on; try again"
                " when it is done",
                retry_after=1,
            )
        # Again, if a worker may have drawn since
        if is_hosted and (status != task.status or status == "RETRY"):
            self.store.delete(pictures(task, self.store))
        self.results.delete(task)
