"""The worker: a parent that watches and a work-horse that lives for many jobs.

Forking for each job, as RQ's Worker does, costs each one a connection to Redis and to the model
server, and the reading of the model card; working in one process, as SimpleWorker does, loses the
watcher. Here the horse is forked once and told each job through a pipe: it answers a byte when it is
ready and whenever it is done, and the pipe's end tells at once when it has died.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from typing import Any, Final

import redis
from redis.client import Pipeline
from rq import Queue, Worker, worker_registration
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.executions import Execution
from rq.job import Job
from rq.timeouts import HorseMonitorTimeoutException, UnixSignalDeathPenalty
from rq.utils import now, utcformat

from orchestrator.errors import RedisUnavailableError, ServiceError
from orchestrator.jobs.keys import QUEUE_NAME
from orchestrator.jobs.ledger import RENEW_SECONDS, Ledger
from orchestrator.jobs.overview import WORKER_SECONDS
from orchestrator.jobs.rq_job import HostileJobError, TaskJob, TaskQueue
from orchestrator.memory import keep_freed_memory
from orchestrator.supervisor import die_with_parent
from serving.scheduling import give_way

_JOBS_PER_HORSE: Final = 1000
_WORKER_TTL: Final = 30
_LISTENER_SECONDS: Final = 3.0

_REFUSED: Final = ServiceError(
    "the task's entry in the queue is damaged and was not carried out; send the image again"
)


class HorseNotReadyError(Exception):
    """A work-horse could not be prepared; the log has why."""


class _JobDeadline(UnixSignalDeathPenalty):
    """Bound jobs by an alarm; the parent's waiting has a timeout of its own."""

    def setup_death_penalty(self) -> None:
        if self._exception is not HorseMonitorTimeoutException:
            super().setup_death_penalty()

    def cancel_death_penalty(self) -> None:
        if self._exception is not HorseMonitorTimeoutException:
            super().cancel_death_penalty()


class TaskWorker(Worker):
    """Take tasks from the queue, one at a time.

    Args:
        queue: The queue of tasks.
        ledger: Where leases are renewed and crashes counted; used by the parent only.
        job_timeout: Seconds that a job may take, whatever the setting was when it was accepted.
        prepare: Called once in each new horse, before its first job.
        farewell: Called in each horse that ends of itself, after its last job.
        is_stopping: Tells whether a signal came before this worker could take it.
    """

    death_penalty_class = _JobDeadline
    job_class = TaskJob
    queue_class = TaskQueue
    log_result_lifespan = False
    max_connection_wait_time = 2.0

    def __init__(
        self,
        queue: TaskQueue,
        ledger: Ledger,
        job_timeout: int,
        prepare: Callable[[], None],
        farewell: Callable[[], None] = lambda: None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(
            [queue],
            connection=queue.connection,
            serializer=queue.serializer,
            worker_ttl=_WORKER_TTL,
            job_monitoring_interval=RENEW_SECONDS,
            log_job_description=False,
        )
        self._ledger = ledger
        self._job_timeout = job_timeout
        self._prepare = prepare
        self._farewell = farewell
        self._is_stopping = is_stopping
        self._horse: int | None = None
        self._orders = self._answers = -1
        self._jobs_left = 0
        self._job: Job | None = None
        self._begun = 0.0

    def _install_signal_handlers(self) -> None:
        """Take the signals, and heed one that came before: RQ would begin all the same, and never end."""
        super()._install_signal_handlers()
        if self._is_stopping():
            self._shutdown_requested_date = now()
            self._stop_requested = True

    @property
    def was_asked_to_stop(self) -> bool:
        """Tell whether a signal asked this worker to end."""
        return self._shutdown_requested_date is not None

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Write the worker's heartbeat, unless one was written a moment ago: RQ asks for four per job."""
        if timeout is None and self.last_heartbeat is not None:
            age = (now() - self.last_heartbeat).total_seconds()
            if 0 <= age < RENEW_SECONDS:  # less than none where the clock has been set back
                return
        if pipeline is not None:
            super().heartbeat(WORKER_SECONDS, pipeline)
            # Whoever was not heard of for long, as its machine or Redis stood still, was taken out of the lists
            pipeline.hsetnx(self.key, "queues", ",".join(self.queue_names()))
            pipeline.hsetnx(self.key, "birth", utcformat(self.birth_date or now()))
            worker_registration.register(self, pipeline)
            return
        with self.connection.pipeline() as writes:
            self.heartbeat(WORKER_SECONDS, writes)
            writes.execute()

    def set_state(self, state: str, pipeline: Pipeline | None = None) -> None:
        """Write the worker's state if it is another than before."""
        if pipeline is not None or state != self.get_state():
            super().set_state(state, pipeline)

    def clean_registries(self) -> None:
        """Leave that to the caretakers: RQ takes a job for abandoned if its worker's clock is behind this one's."""
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def make_ready(self) -> None:
        """Have a horse that can do a job, before one is taken: no task may pay for what a horse lacks.

        Raises:
            HorseNotReadyError: It can't be prepared.
        """
        if self._jobs_left == 0:
            self.dismiss()
            self._fork()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Take a job from the queue, once there is a horse for it."""
        self.make_ready()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def prepare_execution(self, job: Job) -> Execution:
        """Take the lease of the task before anything else."""
        self._ledger.lease(job.id)
        job.timeout = self._job_timeout
        return super().prepare_execution(job)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Renew the lease along with RQ's heartbeats; without Redis the horse may still go on."""
        try:
            self._ledger.lease(job.id)
            super().maintain_heartbeats(job, execution)
        except (RedisUnavailableError, redis.RedisError):
            self.log.warning("no heartbeat", extra={"task_id": job.id})

    def fork_work_horse(self, job: Job, queue: Queue) -> None:  # noqa: ARG002 - RQ's signature
        """Tell the horse which job to do, forking another if it is gone."""
        (execution,) = self.executions.values()
        order = f"{job.id} {execution.id}\n".encode()
        self._job, self._begun = job, time.monotonic()
        try:
            os.write(self._orders, order)
        except BrokenPipeError:  # it died while it had nothing to do
            self._jobs_left = 0
            self.make_ready()
            os.write(self._orders, order)
        self._jobs_left -= 1
        self._horse_pid = self._horse or 0

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """Wait until the horse answers, or has died.

        Raises:
            HorseMonitorTimeoutException: Neither happened for a while.
        """
        if self._horse is None:
            return None, None, None
        ready, _, _ = select.select([self._answers], [], [], self.job_monitoring_interval)
        if not ready:
            if self._job is not None:
                # RQ reckons by this how long it has taken, though the clock may have been set
                self._job.started_at = now() - timedelta(seconds=time.monotonic() - self._begun)
            raise HorseMonitorTimeoutException
        if os.read(self._answers, 1):
            return self._horse, 0, None
        ended, status, usage = os.wait4(self._horse, 0)
        self._close()
        return ended, status, usage

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """Count the crash: a job is tried again until it has cost too many horses, whatever tries RQ has left."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)
        job.retries_left = max(self._ledger.tries(job.id), 1) if self._ledger.crash(job.id) else 0

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: Any = "",
        execution: Execution | None = None,
    ) -> None:
        """Keep the reason of a failure, and not the traceback, for the operator to read.

        A work-horse may have died once its task had succeeded, before it told RQ.
        """
        if execution is not None and not self.is_horse and self._has_succeeded(job.id):
            self.handle_job_success(job, queue, queue.started_job_registry, execution)
            return
        lines = str(exc_string).strip().splitlines() or [""]
        reason = lines[-1].rpartition("JobFailedError: ")[2]
        super().handle_job_failure(job, queue, started_job_registry, reason, execution)

    def _has_succeeded(self, task_id: str) -> bool:
        found = self._ledger.find(task_id)
        return found is not None and found.status == "SUCCESS"

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Log that a job failed and why, in one line; end the task of one that is not ours."""
        error = exc_info[1]
        self.log.warning(
            "job failed", extra={"task_id": job.id, "error": str(error).partition(":")[0]}
        )
        if isinstance(error, HostileJobError | DeserializationError):
            job.retries_left = 0
            self._ledger.fail(job.id, _REFUSED)

    def teardown(self) -> None:
        """Let the horse go along with the worker."""
        if self.is_horse:
            return
        self.dismiss()
        try:
            super().teardown()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of what a worker keeps if Redis fails as it begins or ends: horse, listening thread and sign of life.

        A Redis without memory refuses what RQ writes of a worker's death, and takes these.
        """
        self.dismiss()
        with suppress(redis.RedisError), self.connection.pipeline() as writes:
            worker_registration.unregister(self, writes)
            writes.unlink(self.key)
            writes.execute()
        thread: Any = self.pubsub_thread
        if thread is not None and thread.is_alive():
            thread.stop()
            with suppress(redis.RedisError):
                thread.pubsub.unsubscribe()  # wakes it
            thread.join(_LISTENER_SECONDS)

    def _fork(self) -> None:
        with ExitStack() as of_horse:
            try:
                orders, self._orders = os.pipe()
                of_horse.callback(os.close, orders)
                self._answers, answers = os.pipe()
                of_horse.callback(os.close, answers)
                pid = os.fork()
            except OSError:  # no process, memory or descriptor is left
                self._close()
                raise
            if pid == 0:
                os.close(self._orders)
                os.close(self._answers)
                self._ride(orders, answers)
        # It does so itself; whoever comes first
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        self._horse = pid
        self._jobs_left = _JOBS_PER_HORSE
        if not os.read(self._answers, 1):
            os.waitpid(pid, 0)
            self._close()
            raise HorseNotReadyError

    def _ride(self, orders: int, answers: int) -> None:
        """Do jobs until the parent closes the pipe; never returns."""
        os.setpgrp()
        die_with_parent(signal.SIGKILL)
        self.setup_work_horse_signals()
        self._is_horse = True
        try:
            give_way()  # the worker itself does not: leases are renewed in time
            keep_freed_memory()
            self._prepare()
            os.write(answers, b".")
            with os.fdopen(orders) as lines:
                for line in lines:
                    self._do(*line.split())
                    os.write(answers, b".")
            self._farewell()
        except BaseException:  # nothing of the parent may be run in its child
            self.log.exception("work-horse failed")
            os._exit(1)
        os._exit(0)

    def _do(self, job_id: str, execution_id: str) -> None:
        (queue,) = self.queues
        try:
            job = self.job_class.fetch(
                job_id, connection=self.connection, serializer=self.serializer
            )
        except NoSuchJobError:  # its caller has had it forgotten since it was taken
            self._leave(job_id, execution_id)
            return
        job.timeout = self._job_timeout
        job.redis_server_version = self.get_redis_server_version()
        execution = Execution.fetch(execution_id, job_id, connection=self.connection)
        execution._job = job
        self.executions = {execution_id: execution}
        self.perform_job(job, queue, execution)

    def _leave(self, job_id: str, execution_id: str) -> None:
        """Strike off what RQ has noted of an execution that has nothing to be done."""
        execution = Execution(execution_id, job_id, self.connection, worker_name=self.name)
        job = self.job_class(job_id, connection=self.connection, serializer=self.serializer)
        job.origin = QUEUE_NAME
        with self.connection.pipeline() as pipeline:
            execution.delete(job, pipeline)
            pipeline.execute()

    def dismiss(self) -> None:
        """Let the horse end, which it does when its pipe does, and see it off."""
        if self._horse is None:
            return
        os.close(self._orders)
        self._orders = -1
        deadline = time.monotonic() + _WORKER_TTL
        with suppress(ChildProcessError):  # it was seen off elsewhere
            while os.waitpid(self._horse, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(self._horse, signal.SIGKILL)
                time.sleep(0.01)
        self._close()

    def _close(self) -> None:
        for descriptor in (self._orders, self._answers):
            if descriptor >= 0:
                os.close(descriptor)
        self._orders = self._answers = -1
        self._horse = None
        self._jobs_left = 0
        self._horse_pid = 0
