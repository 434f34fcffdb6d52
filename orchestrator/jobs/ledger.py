"""Know every task: its record in Redis, and the transitions between its states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis

from orchestrator.answers import Status
from orchestrator.errors import JobCrashedError, JobExpiredError, JobTimeoutError, ServiceError
from orchestrator.jobs import keys, scripts
from orchestrator.jobs.rq_job import LONGEST_PAUSE
from orchestrator.jobs.task import Reason, Task
from orchestrator.redis_client import Script, text, texts, translated

# A worker renews its lease this often, so one that was killed is missed after LEASE_SECONDS.
RENEW_SECONDS: Final = 4
LEASE_SECONDS: Final = 12
# Between a task leaving the queue and its first lease lie milliseconds.
_GRACE_SECONDS: Final = 4
# Longer than any pause between two tries, and than a worker may be out of touch.
_LEAST_SECONDS: Final = 120
# A task at which workers die, or that takes too long, so often in all is taken for the cause.
MOST_CRASHES: Final = 5

_CRASHED: Final = JobCrashedError(
    f"the worker ended while it was at this image, the last of {MOST_CRASHES} tries that ended so or took too long; it"
    " will not be tried again"
)
_LOST: Final = JobCrashedError("the worker that had this task is gone; another one takes it")
_EXPIRED: Final = JobExpiredError(
    "no worker came to this task within the time that tasks are kept; send it again"
)
_TRIED_TOO_LONG: Final = JobExpiredError(
    "the tries within the time that tasks are kept have failed; send it again. The last one: "
)


@dataclass(frozen=True)
class Lifetimes:
    """How long things are kept, in seconds.

    Attributes:
        queue: How long a task may wait for a worker.
        result: How long the result, or the upload of a failed task, is kept.
        memory: How long it is remembered after that that there was one.
    """

    queue: int
    result: int
    memory: int

    @property
    def waiting(self) -> int:
        """Return the TTL of what belongs to a waiting task: it must outlast the wait."""
        return self.queue + self.result

    @property
    def working(self) -> int:
        """Return the TTL of what belongs to a task in hand, renewed with its lease and when it is to be tried again."""
        return max(self.waiting, _LEAST_SECONDS)


class Ledger:
    """Read and change the records of tasks; every change is one script.

    Every method raises RedisUnavailableError when Redis can't do it now.
    """

    def __init__(self, client: redis.Redis, lifetimes: Lifetimes) -> None:
        self._client = client
        self._lifetimes = lifetimes
        self._lease = Script(client, scripts.LEASE)
        self._begin = Script(client, scripts.BEGIN)
        self._stage = Script(client, scripts.STAGE)
        self._pictures = Script(client, scripts.PICTURES)
        self._finish = Script(client, scripts.FINISH)
        self._retry = Script(client, scripts.RETRY)
        self._forget = Script(client, scripts.FORGET)
        self._care = Script(client, scripts.CARE)

    def find(self, task_id: str) -> Task | None:
        """Return a task, or None if it is unknown."""
        return self.find_all([task_id])[0]

    def find_all(self, task_ids: Sequence[str]) -> list[Task | None]:
        """Return tasks in the order of their identifiers, None for each that is unknown."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.hgetall(keys.task_key(task_id))
            records = [texts(record) for record in pipe.execute()]
        return [_task(*pair) for pair in zip(task_ids, records, strict=True)]

    def position(self, task_id: str) -> int | None:
        """Return the place of a task in the queue, counted from 1, or None if it isn't in it."""
        with translated():
            found = self._client.lpos(keys.RQ_QUEUE, task_id)
        return found + 1 if isinstance(found, int) else None

    def held(self, names: Sequence[str]) -> dict[str, float]:
        """Return which of these uploads and results belong to a task that is not forgotten, and until which moment."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            for name in names:
                pipe.zscore(keys.HELD, name)
            (now, _), *found = pipe.execute()
        ends = dict(zip(names, found, strict=True))
        return {name: end for name, end in ends.items() if end is not None and end > now}

    def held_bytes(self) -> int:
        """Return how many bytes uploads and results take together."""
        with translated():
            return int(self._client.hget(keys.SIZES, "total") or 0)

    def lease(self, task_id: str) -> None:
        """Say that a worker lives and has this task."""
        self._lease(keys.RQ, [task_id, LEASE_SECONDS, self._lifetimes.working])

    def begin(self, task_id: str) -> Task | None:
        """Mark a task as started and return it; None if there is nothing (more) to do for it."""
        found = self._begin(keys.RQ, [task_id, LEASE_SECONDS, self._lifetimes.working])
        pairs = [text(value) for value in found]
        return _task(task_id, dict(zip(pairs[::2], pairs[1::2], strict=True)))

    def tries(self, task_id: str) -> int:
        """Return how many tries RQ has left for a task; one that was put back has got them as it began."""
        with translated():
            return int(self._client.hget(keys.job_key(task_id), "retries_left") or 0)

    def is_at(self, task: Task) -> bool:
        """Tell whether the try that a task was begun for is the one that is under way."""
        found = self.find(task.task_id)
        return found is not None and (found.status, found.attempts) == ("STARTED", task.attempts)

    def stage(self, task_id: str, name: str) -> None:
        """Say what is being done for a task."""
        self._stage(keys.RQ, [task_id, name])

    def keep_name(self, task_id: str, name: str) -> str:
        """Remember the name under which a task's pictures are put into the store.

        Returns:
            The first name that was given, or nothing if the task has ended: what there is must be left alone.
        """
        return text(self._pictures(keys.RQ, [task_id, name]))

    def succeed(
        self, task_id: str, size: int, count: Sequence[str | int] = (), *, attempt: int = 1
    ) -> bool:
        """End a task whose result has been kept; False if it had ended before.

        Args:
            task_id: The task.
            size: Bytes of its result.
            count: What ``Statistics.arguments`` says of its analysis, which is counted in the same moment.
            attempt: Number of the try whose result it is.
        """
        return self._end(task_id, "SUCCESS", "", size, [attempt, *count])

    def fail(self, task_id: str, error: ServiceError) -> bool:
        """End a task without a result; False if it had ended before."""
        return self._end(task_id, "FAILURE", Reason.of(error).dumps(), 0)

    def retry(self, task_id: str, error: ServiceError) -> bool:
        """Mark a task as to be tried again; False if it has ended, as one does that took too long too often."""
        last = error if isinstance(error, JobTimeoutError) else None
        return self._try_again(task_id, error, last)

    def crash(self, task_id: str) -> bool:
        """Count the death of a worker at this task; False if it was the last that it may cost."""
        return self._try_again(task_id, _LOST, _CRASHED)

    def forget(self, task_id: str) -> str:
        """Remove every trace of a task unless it is running; return the status it had, or nothing."""
        return text(self._forget([*keys.RQ, keys.RQ_FINISHED], [task_id]))

    def care(self) -> list[str]:
        """Put due retries and orphans into the queue, end what can't be helped; return the orphans."""
        arguments = [
            self._lifetimes.waiting,
            _GRACE_SECONDS,
            MOST_CRASHES,
            self._lifetimes.result,
            self._lifetimes.memory,
            Reason.of(_EXPIRED).dumps(),
            Reason.of(_CRASHED).dumps(),
            Reason.of(_LOST).dumps(),
            self._lifetimes.queue,
            Reason.of(_TRIED_TOO_LONG).dumps(),
            LONGEST_PAUSE,
        ]
        names = [*keys.RQ, keys.RQ_FINISHED, keys.RQ_WORKERS]
        found = self._care(names, arguments)
        return [text(task_id) for task_id in found]

    def _end(
        self,
        task_id: str,
        status: Status,
        reason: str,
        size: int,
        more: Sequence[str | int] = (),
    ) -> bool:
        lifetimes = [self._lifetimes.result, self._lifetimes.memory]
        return bool(self._finish(keys.RQ, [task_id, status, reason, size, *lifetimes, *more]))

    def _try_again(self, task_id: str, error: ServiceError, last: ServiceError | None) -> bool:
        """Mark a task as to be tried again; one that may be the cause is ended by the last error if it was so often."""
        arguments: list[Any] = [task_id, Reason.of(error).dumps(), int(last is not None)]
        arguments += [MOST_CRASHES, self._lifetimes.result, self._lifetimes.memory]
        arguments += [Reason.of(last or error).dumps(), self._lifetimes.working]
        return bool(self._retry(keys.RQ, arguments))


def _task(task_id: str, record: Mapping[str, str]) -> Task | None:
    """Read a record; one that is none of ours counts as unknown."""
    try:
        return Task.from_record(task_id, record)
    except (ValueError, KeyError, TypeError):
        return None
