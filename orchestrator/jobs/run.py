"""The job: one task from its upload to its end."""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from rq import get_current_job
from rq.timeouts import JobTimeoutException

from orchestrator.blobs.base import Blobs, upload_name
from orchestrator.errors import (
    DependencyError,
    JobTimeoutError,
    QueueFullError,
    RedisUnavailableError,
    RequestError,
    ResultTooLargeError,
    ServiceError,
    UploadExpiredError,
)
from orchestrator.jobs.announcer import Announcer
from orchestrator.jobs.ledger import Ledger
from orchestrator.jobs.results import Results, pictures
from orchestrator.jobs.task import Reason, Task, load_options
from orchestrator.pipeline import Model, analyse
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.base import Store
from orchestrator.study import Analysis, Report
from orchestrator.telemetry.telemetry import NO_TELEMETRY, Stages, Telemetry

_log = logging.getLogger(__name__)

# Twice this is less than the minute past its job's time in which the worker leaves a work-horse alone.
_PATIENCE_SECONDS: Final = 20.0
_PAUSE_SECONDS: Final = 1.0

_NOTHING: Final = "nothing to do"
_DEFECT: Final = ServiceError(
    "the service failed at this image because of a defect; the operator finds it in the log"
)
_FULL: Final = QueueFullError(
    "the result is larger than the image and finds no room beside the images and results that are kept; fetch and"
    " delete finished tasks"
)
_GONE: Final = UploadExpiredError(
    "the image of this task is no longer kept; send it again as a new task"
)


@dataclass(frozen=True)
class Workshop:
    """What a job needs; each process that runs jobs has one."""

    ledger: Ledger
    announcer: Announcer
    blobs: Blobs
    results: Results
    statistics: Statistics
    model: Model
    store: Store
    max_pixels: int
    max_result_bytes: int
    most_held: int
    job_timeout: int
    telemetry: Telemetry = NO_TELEMETRY


class JobFailedError(Exception):
    """The job ended in an error that was told to the caller; RQ keeps its words for the operator."""


class _OvertakenError(Exception):
    """Another try has ended the task, or its caller has had it forgotten."""


_workshops: list[Workshop] = []


def furnish(workshop: Workshop) -> None:
    """Say what the jobs of this process work with: a job itself carries nothing but an identifier."""
    _workshops[:] = [workshop]


def run_task(task_id: str) -> str:
    """Analyse the upload of a task and keep the result; return the status it ended in.

    Run twice it leaves what it leaves when run once: everything it writes follows from the task.

    Raises:
        JobFailedError: It failed. The job has retries left if the task is to be tried again.
    """
    (workshop,) = _workshops
    task = workshop.ledger.begin(task_id)
    if task is None:
        return _NOTHING
    job = get_current_job()
    if job is not None and not job.should_retry:  # it was read before the task began
        job.retries_left = workshop.ledger.tries(task_id)
    if task.attempts == 1 and task.started is not None:
        workshop.telemetry.task_began(task.started - task.created)
    return _run(workshop, task)


def _run(workshop: Workshop, task: Task) -> str:
    """Try a task that has been begun; return the status it ended in."""
    try:
        size, report = _work(workshop, task)
        count = workshop.statistics.arguments(report)
        succeed = partial(workshop.ledger.succeed, task.task_id, size, count, attempt=task.attempts)
        has_ended = _insist(succeed)
    except _OvertakenError:
        return _overtaken(workshop, task)
    except RequestError as err:
        return _ended(workshop, task, err)
    except DependencyError as err:
        return (_postponed if err.passes else _ended)(workshop, task, err)
    except JobTimeoutException:
        return _postponed(workshop, task, _late(workshop))
    except Exception:  # noqa: BLE001 - a defect must end the task, and not leave its caller waiting
        _log.exception("job failed", extra={"task_id": task.task_id})
        return _ended(workshop, task, _DEFECT)
    return _succeeded(workshop, task, report) if has_ended else _overtaken(workshop, task)


def _work(workshop: Workshop, task: Task) -> tuple[int, Report]:
    """Analyse, keep the result, and return its size and the report."""
    with _watched(workshop, task) as stages:
        announce = partial(_announce, workshop, task, stages)
        upload = workshop.blobs.get(upload_name(task.task_id))
        if upload is None:
            raise _GONE
        analysis = analyse(
            upload,
            load_options(task.options),
            workshop.model,
            max_pixels=workshop.max_pixels,
            max_result_bytes=workshop.max_result_bytes,
            analysis_id=task.analysis_id,
            progress=announce,
        )
        announce("storing")
        return _keep(workshop, task, analysis, len(upload)), analysis.report


@contextmanager
def _watched(workshop: Workshop, task: Task) -> Iterator[Stages]:
    """Measure and trace the work on a task; its span belongs to the request that brought it."""
    telemetry = workshop.telemetry
    with (
        telemetry.tracer.span("task", "consumer", task.traceparent) as span,
        telemetry.analysis("task") as stages,
    ):
        span.add({"cxr.attempt": task.attempts})
        try:
            yield stages
        except JobTimeoutException as err:
            raise _late(workshop) from err
        finally:
            workshop.announcer.end()


def _announce(workshop: Workshop, task: Task, stages: Stages, stage: str) -> None:
    """Say what is being done; the record of a task that has begun says 'decoding' already."""
    stages.begin(stage)
    if stage != "decoding":
        workshop.announcer.begin(task.task_id, stage)


def _keep(workshop: Workshop, task: Task, analysis: Analysis, freed: int) -> int:
    """Keep the result in place of the upload, which frees so many bytes, and return its size.

    Raises:
        _OvertakenError: Its pictures would replace those of the try that has ended the task.
    """
    if task.kind == "hosted":
        # before they are put there: the store's secret may be another by the time they are to be deleted
        name = workshop.ledger.keep_name(task.task_id, pictures(task, workshop.store))
        if not name:
            raise _OvertakenError
        task = replace(task, pictures=name)
    result = workshop.results.pack(
        task, analysis, workshop.store, partial(_is_ours, workshop, task)
    )
    _need_room(workshop, len(result) - freed)
    workshop.results.put(task, result)
    return len(result)


def _need_room(workshop: Workshop, added: int) -> None:
    """Put the task off if it adds to what is held, and there is no room for that.

    One that adds nothing is done however much is held: otherwise, where most is what waits, nothing would ever be done.

    Raises:
        QueueFullError: So many bytes more than are held may not be.
        ResultTooLargeError: There would be no room though nothing else were held.
    """
    if added > workshop.most_held:
        raise ResultTooLargeError(
            f"expected a result that is at most {workshop.most_held} bytes larger than the image, as no more may be"
            f" held (1.5 times QUEUE_BYTES), got {added}; ask for fewer labels, a smaller max_size, or format jpeg"
        )
    if added > 0 and workshop.ledger.held_bytes() + added > workshop.most_held:
        raise _FULL


def _is_ours(workshop: Workshop, task: Task) -> bool:
    """Tell whether a task is still worked on by this try alone; while Redis can't tell, it may not be."""
    try:
        return workshop.ledger.is_at(task)
    except RedisUnavailableError:
        return False


def _discard(workshop: Workshop, task: Task) -> None:
    """Delete what was kept for a task that nobody knows any more."""
    with suppress(DependencyError):
        workshop.results.delete(task)
        if task.kind == "hosted":
            workshop.store.delete(pictures(task, workshop.store))


def _late(workshop: Workshop) -> JobTimeoutError:
    return JobTimeoutError(f"the image took longer than {workshop.job_timeout} seconds")


def _succeeded(workshop: Workshop, task: Task, report: Report) -> str:
    """Do what is left to do for a task that has just succeeded."""
    workshop.telemetry.analysed(report)
    workshop.telemetry.task_succeeded(time.time() - task.created)
    if not workshop.blobs.in_redis:  # in Redis it went in the moment of success
        with suppress(DependencyError):
            workshop.blobs.delete(upload_name(task.task_id))
    return "SUCCESS"


def _ended(workshop: Workshop, task: Task, error: ServiceError) -> str:
    """Fail the task for good, which RQ is told by an error; see `_overtaken` for one that had ended."""
    if not _insist(partial(workshop.ledger.fail, task.task_id, error)):
        return _overtaken(workshop, task)
    _no_retry()
    raise _failed(error) from None


def _postponed(workshop: Workshop, task: Task, error: DependencyError) -> str:
    """Leave the task to RQ's next try, if there is one left."""
    job = get_current_job()
    if job is None or not job.should_retry:
        return _ended(workshop, task, error)
    if not _insist(partial(workshop.ledger.retry, task.task_id, error)):
        return _overtaken(workshop, task)
    raise _failed(error) from None


def _overtaken(workshop: Workshop, task: Task) -> str:
    """See to a try whose task had ended meanwhile, or was forgotten; to RQ the job is what the task is."""
    found = workshop.ledger.find(task.task_id)
    if found is None:
        _discard(workshop, task)
        return _NOTHING
    # The answer to the one that has ended it may have been lost
    if found.status != "SUCCESS" or found.kept != task.attempts:
        with suppress(DependencyError):
            workshop.results.take_back(task)
    if found.status == "FAILURE" and found.reason is not None:
        _no_retry()
        raise _failed(found.reason) from None
    return _NOTHING


def _failed(reason: ServiceError | Reason) -> JobFailedError:
    return JobFailedError(f"{reason.code}: {reason.detail}")


def _insist(end: Callable[[], bool]) -> bool:
    """Say how a try ended, over and over while Redis is away: a work-horse that can't say it would count as dead.

    Raises:
        RedisUnavailableError: Redis has been away for long.
    """
    signal.alarm(0)  # RQ's bounds the work; this has a bound of its own
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return end()
        except RedisUnavailableError:
            if time.monotonic() > until:
                raise
        time.sleep(_PAUSE_SECONDS)


def _no_retry() -> None:
    job = get_current_job()
    if job is not None:
        job.retries_left = 0
