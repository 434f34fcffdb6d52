"""Bind RQ to this service: one queue, JSON only, and one function that a job may call."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import redis
from redis.client import Pipeline
from rq import Queue, Retry
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from orchestrator.jobs.keys import QUEUE_NAME

FUNCTION: Final = "orchestrator.jobs.run.run_task"

# Growing; the last is repeated. RQ counts retries backwards from the end of this list.
_INTERVALS: Final = (1, 2, 5, 10, 20, 30)
LONGEST_PAUSE: Final = _INTERVALS[-1]

# For a job whose own values can't be read.
_TIMEOUT: Final = 120
_TTL: Final = 3600


class HostileJobError(Exception):
    """A job asks for something else than the one function of this service."""


class TaskJob(Job):
    """A job as RQ stores it, of which nothing but the task's identifier is believed.

    Whoever can write to Redis could otherwise name any function, callback or address to be called.
    """

    def restore(self, raw_data: Any) -> None:
        """Read the job's hash; what can't be read makes a job that is refused when it is performed."""
        try:
            super().restore(raw_data)
        except NoSuchJobError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError):
            self.data = b""
        self.origin = QUEUE_NAME
        self.timeout = self.timeout or _TIMEOUT
        self.result_ttl = self.result_ttl or _TTL
        self.failure_ttl = self.failure_ttl or _TTL
        self._success_callback_name = None
        self._failure_callback_name = None
        self._stopped_callback_name = None
        self.webhooks = []
        self._dependency_ids = []
        self.repeats_left = None
        self.rate_limit_key = None
        self.group_id = None

    def heartbeat(
        self, timestamp: datetime, ttl: int, pipeline: Pipeline | None = None, xx: bool = False
    ) -> None:
        """Write the job's heartbeat along with other things; RQ's one at the end has the end's own write behind it."""
        if pipeline is not None:
            super().heartbeat(timestamp, ttl, pipeline, xx)

    def _handle_success(self, result_ttl: int, pipeline: Pipeline, *_: Any, **__: Any) -> None:
        """Keep the job of a task that has succeeded without a result of RQ's, which says nothing and takes 4 kB."""
        self.set_status(JobStatus.FINISHED, pipeline=pipeline)
        self.save(pipeline=pipeline, include_meta=False, include_result=False)
        self.finished_job_registry.add(self, result_ttl, pipeline)

    def perform(self) -> Any:
        """Call the one function with the one argument.

        Raises:
            HostileJobError: The job asks for something else.
        """
        wanted = (self.func_name, self.instance, list(self.args), self.kwargs)
        if wanted != (FUNCTION, None, [self.id], {}):
            self.retries_left = 0
            raise HostileJobError("the job asks for something else than an analysis")
        return super().perform()


class TaskQueue(Queue):
    """The queue of tasks, whose jobs are written by nobody else."""

    job_class = TaskJob

    def move_dependents_to_ready(self, *_: Any, **__: Any) -> dict[str, list[str]]:
        """Do not look for jobs that wait for this one: tasks never do."""
        return {}

    def schedule_job(self, job: Job, datetime: datetime, *more: Any, **options: Any) -> Job:
        """Have a job tried later by Redis' clock, by which the caretakers look: this machine's may differ."""
        seconds, microseconds = self.connection.time()
        ahead = timedelta(seconds=time.time() - seconds - microseconds / 1e6)
        return super().schedule_job(job, datetime - ahead, *more, **options)


def open_queue(client: redis.Redis) -> TaskQueue:
    """Return the queue of tasks."""
    return TaskQueue(QUEUE_NAME, connection=client, serializer=JSONSerializer)


def enqueue_commands(
    queue: TaskQueue,
    task_id: str,
    *,
    timeout: int,
    retries: int,
    ttls: Mapping[str, int],
    description: str,
) -> list[list[Any]]:
    """Return the commands with which RQ enqueues a job, to be run within a transaction of our own."""
    intervals = [*_INTERVALS[:retries], *[LONGEST_PAUSE] * (retries - len(_INTERVALS))]
    pipe = queue.connection.pipeline()
    queue.enqueue_call(
        FUNCTION,
        args=(task_id,),
        job_id=task_id,
        timeout=timeout,
        ttl=ttls["waiting"],
        result_ttl=ttls["result"],
        failure_ttl=ttls["result"],
        retry=Retry(max=retries, interval=intervals, enqueue_at_front=True),
        description=description,
        pipeline=pipe,
    )
    encode = queue.connection.get_encoder().encode
    return [[encode(word) for word in words] for words, _ in pipe.command_stack]
