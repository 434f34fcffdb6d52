"""Accept tasks: upload, record and job become visible in one moment, or not at all."""

import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import redis

from orchestrator.blobs.base import Blobs, upload_name
from orchestrator.errors import (
    DependencyError,
    IdempotencyConflictError,
    QueueFullError,
    RedisUnavailableError,
    TooManyBytesError,
    TooManyFilesError,
)
from orchestrator.jobs import keys, scripts
from orchestrator.jobs.ledger import Lifetimes
from orchestrator.jobs.rq_job import enqueue_commands, open_queue
from orchestrator.jobs.task import Kind, Task, dump_options
from orchestrator.redis_client import Script, text, translated
from orchestrator.study import Options
from orchestrator.telemetry.trace import traceparent

# An upload that nothing refers to yet: should the process be killed now, nobody will.
_UNCLAIMED_SECONDS: Final = 120
_RETRY_AFTER: Final = 10
_ID_LENGTH: Final = 36
_RESULTS: Final = {"zip": "ZIP", "hosted": "URLs"}


@dataclass(frozen=True)
class Submission:
    """What a caller wants done.

    Attributes:
        uploads: The images.
        options: What to draw.
        kind: What it results in.
        callback: Address to call when it is done, or empty.
        is_batch: Whether it results in a batch, even of one image.
        caller: Name of the caller's key, or empty; two callers may use the same Idempotency-Key.
    """

    uploads: Sequence[bytes]
    options: Options
    kind: Kind = "zip"
    callback: str = ""
    is_batch: bool = False
    caller: str = ""

    @property
    def size(self) -> int:
        """Return the bytes of all uploads."""
        return sum(len(upload) for upload in self.uploads)

    def digest(self) -> str:
        """Return a digest of all that makes two submissions the same."""
        found = hashlib.sha256(
            f"{self.kind}\n{self.is_batch}\n{self.callback}\n{dump_options(self.options)}\n".encode()
        )
        for upload in self.uploads:
            found.update(f"{len(upload)}\n".encode())
            found.update(upload)
        return found.hexdigest()


@dataclass(frozen=True)
class Accepted:
    """What became of a submission.

    Attributes:
        identifier: The task's, or the batch's.
        tasks: Its tasks as they are now; none if it had been accepted before, and they may be anything by now.
        position: Place in the queue of the last of them, counted from 1.
    """

    identifier: str
    tasks: Sequence[Task] = ()
    position: int = 0


@dataclass(frozen=True)
class Limits:
    """How much the queue may hold, how its jobs are run, and for how many seconds their ends are in the audit trail."""

    tasks: int
    bytes: int
    timeout: int
    retries: int
    audit: int = 0


class Submitter:
    """Put submissions into the queue, within its limits."""

    def __init__(
        self, client: redis.Redis, blobs: Blobs, lifetimes: Lifetimes, limits: Limits
    ) -> None:
        self._client = client
        self._blobs = blobs
        self._in_redis = blobs.in_redis
        self._lifetimes = lifetimes
        self._limits = limits
        self._queue = open_queue(client)
        self._accept = Script(client, scripts.ACCEPT)

    def submit(self, submission: Submission, idempotency: str = "") -> Accepted:
        """Accept a submission.

        Args:
            submission: What to do.
            idempotency: The caller's Idempotency-Key; a repeated one gives what the first gave.

        Raises:
            TooManyFilesError: There are more images than the queue may ever hold.
            TooManyBytesError: There are more bytes than it may.
            QueueFullError: The queue holds as much as it may.
            IdempotencyConflictError: The key was used for another submission.
            DependencyError: Redis or the folder of blobs is away.
        """
        if len(submission.uploads) > self._limits.tasks:
            raise TooManyFilesError(
                f"expected at most {self._limits.tasks} images, as the queue may hold no more tasks, got"
                f" {len(submission.uploads)}; send several batches"
            )
        if submission.size > self._limits.bytes:
            raise TooManyBytesError(
                f"expected at most {self._limits.bytes} bytes, as the queue may hold no more (QUEUE_BYTES), got"
                f" {submission.size}; send fewer images at once, or smaller ones"
            )
        if not idempotency:  # a repeated key is answered, however full the queue is
            self._refuse_early(submission)
        elif not self._in_redis:  # files that are put while Redis is away stay until it is back
            with translated():
                self._client.ping()
        batch = str(uuid.uuid4()) if submission.is_batch else ""
        tasks = [self._task(submission, batch) for _ in submission.uploads]
        identifier = batch or tasks[0].task_id
        # In Redis the script claims the uploads; files have no such moment and are kept from the start.
        ttl = _UNCLAIMED_SECONDS if self._in_redis else self._lifetimes.waiting
        try:
            for task, upload in zip(tasks, submission.uploads, strict=True):
                self._blobs.put(upload_name(task.task_id), upload, ttl)
        except DependencyError:
            self._discard(tasks)
            raise
        answer = self._try(submission, tasks, identifier, idempotency)
        if answer[0] == "accepted":
            created = float(answer[2])
            found = [replace(task, created=created) for task in tasks]
            return Accepted(identifier, found, int(answer[1]))
        if answer[0] == "repeated":
            return Accepted(identifier)
        self._discard(tasks)
        if answer[0] == "known":
            return Accepted(_known(answer[1], submission))
        raise _refusal(answer, submission, self._limits)

    def _refuse_early(self, submission: Submission) -> None:
        """Turn work away before its bytes travel; the script decides for good."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.llen(keys.RQ_QUEUE)
            pipe.hget(keys.SIZES, "total")
            waiting, held = pipe.execute()
        if waiting + len(submission.uploads) > self._limits.tasks:
            raise _refusal(["jobs", waiting], submission, self._limits)
        if int(held or 0) + submission.size > self._limits.bytes:
            raise _refusal(["bytes", held], submission, self._limits)

    def _task(self, submission: Submission, batch: str) -> Task:
        return Task(
            task_id=str(uuid.uuid4()),
            analysis_id=str(uuid.uuid4()),
            kind=submission.kind,
            options=dump_options(submission.options),
            created=time.time(),
            callback=submission.callback,
            traceparent=traceparent(),
            caller=submission.caller,
            batch=batch,
            audit=self._limits.audit,
        )

    def _try(
        self, submission: Submission, tasks: Sequence[Task], identifier: str, idempotency: str
    ) -> list[Any]:
        life = self._lifetimes.waiting
        uploads = list(zip(tasks, submission.uploads, strict=True))
        commands = [command for task in tasks for command in self._commands(task)]
        if submission.is_batch:
            batch = keys.batch_key(identifier)
            commands.append(["RPUSH", batch, *(task.task_id for task in tasks)])
            commands.append(["EXPIRE", batch, life + self._lifetimes.memory])
        arguments: list[Any] = [
            self._limits.tasks,
            self._limits.bytes,
            len(tasks),
            submission.size,
            life,
            int(self._in_redis),
            f"{identifier}:{submission.digest()}" if idempotency else "",
            life + self._lifetimes.memory,
        ]
        for task, upload in uploads:
            arguments += [task.task_id, len(upload)]
        for command in commands:
            arguments += [len(command), *command]
        names = [*keys.RQ, keys.task_key(tasks[0].task_id)]
        if idempotency:
            own = f"{submission.caller}\n{idempotency}"
            names.append(keys.idempotency_key(hashlib.sha256(own.encode()).hexdigest()))
        return [text(word) for word in self._accept(names, arguments)]

    def _commands(self, task: Task) -> list[list[Any]]:
        """Return what writes a task's record and RQ's job."""
        life = self._lifetimes.waiting
        record = [word for pair in task.as_record().items() for word in pair]
        key = keys.task_key(task.task_id)
        # HSET and EXPIRE of the record come first: RQ's push makes the task visible to workers.
        commands: list[list[Any]] = [["HSET", key, *record], ["EXPIRE", key, life]]
        with translated():
            return commands + enqueue_commands(
                self._queue,
                task.task_id,
                timeout=self._limits.timeout,
                retries=self._limits.retries,
                ttls={"waiting": life, "result": self._lifetimes.result},
                description=f"Analysis of one radiograph ({_RESULTS[task.kind]})",
            )

    def _discard(self, tasks: Sequence[Task]) -> None:
        """Delete what was put for nothing; what can't be deleted now goes by itself."""
        for task in tasks:
            try:
                self._blobs.delete(upload_name(task.task_id))
            except DependencyError:
                return


def _known(value: str, submission: Submission) -> str:
    identifier, digest = value[:_ID_LENGTH], value[_ID_LENGTH + 1 :]
    if digest != submission.digest():
        raise IdempotencyConflictError(
            "expected the request that this Idempotency-Key was first sent with, got another one;"
            " take a new key for a new request"
        )
    return identifier


def _refusal(answer: Sequence[Any], submission: Submission, limits: Limits) -> DependencyError:
    if answer[0] == "jobs":
        return QueueFullError(
            f"the queue holds {answer[1]} tasks and may hold {limits.tasks}, got {len(submission.uploads)} more; try"
            " again later",
            retry_after=_RETRY_AFTER,
        )
    if answer[0] == "bytes":
        return QueueFullError(
            "the queue holds as many bytes of images and results as it may; try again later",
            retry_after=_RETRY_AFTER,
        )
    return RedisUnavailableError(
        "Redis lost the upload before it was accepted; send it again", retry_after=1
    )
