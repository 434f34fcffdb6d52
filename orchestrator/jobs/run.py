"""The job: one task from its upload to its end."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from rq import get_current_job
from rq.timeouts import JobTimeoutException

from orchestrator.blobs.base import Blobs, upload_name
from orchestrator.errors import (
    DependencyError,
    JobTimeoutError,
    RequestError,
    ServiceError,
    UploadExpiredError,
)
from orchestrator.jobs.ledger import Ledger
from orchestrator.jobs.results import Results
from orchestrator.jobs.task import Task, load_options
from orchestrator.pipeline import Model, analyse
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.base import Store
from orchestrator.study import Analysis, Report

_log = logging.getLogger(__name__)

_DEFECT: Final = ServiceError(
    "the service failed at this image because of a defect; the operator finds it in the log"
)
_GONE: Final = UploadExpiredError(
    "the image of this task is no longer kept; send it again as a new task"
)


@dataclass(frozen=True)
class Workshop:
    """What a job needs; each process that runs jobs has one."""

    ledger: Ledger
    blobs: Blobs
    results: Results
    statistics: Statistics
    model: Model
    store: Store
    max_pixels: int
    job_timeout: int


class JobFailedError(Exception):
    """The job ended in an error that was told to the caller; RQ keeps its words for the operator."""


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
        return "nothing to do"
    try:
        size, report = _work(workshop, task)
        workshop.ledger.succeed(task_id, size, workshop.statistics.arguments(report))
    except RequestError as err:
        raise _ended(workshop, task, err) from None
    except DependencyError as err:
        raise (_postponed if err.passes else _ended)(workshop, task, err) from None
    except JobTimeoutException:
        late = JobTimeoutError(f"the image took longer than {workshop.job_timeout} seconds")
        raise _postponed(workshop, task, late) from None
    except Exception:  # noqa: BLE001 - a defect must end the task, and not leave its caller waiting
        _log.exception("job failed", extra={"task_id": task_id})
        raise _ended(workshop, task, _DEFECT) from None
    with suppress(DependencyError):  # a file; in Redis the upload went in the moment of success
        workshop.blobs.delete(upload_name(task_id))
    return "SUCCESS"


def _work(workshop: Workshop, task: Task) -> tuple[int, Report]:
    """Analyse, keep the result, and return its size and the report."""
    upload = workshop.blobs.get(upload_name(task.task_id))
    if upload is None:
        raise _GONE
    analysis = analyse(
        upload,
        load_options(task.options),
        workshop.model,
        max_pixels=workshop.max_pixels,
        analysis_id=task.analysis_id,
        progress=lambda name: _announce(workshop, task, name),
    )
    workshop.ledger.stage(task.task_id, "storing")
    return _keep(workshop, task, analysis), analysis.report


def _announce(workshop: Workshop, task: Task, stage: str) -> None:
    """Say what is being done; the record of a task that has begun says 'decoding' already."""
    if stage != "decoding":
        workshop.ledger.stage(task.task_id, stage)


def _keep(workshop: Workshop, task: Task, analysis: Analysis) -> int:
    result = workshop.results.pack(task, analysis, workshop.store)
    workshop.results.put(task, result)
    return len(result)


def _ended(workshop: Workshop, task: Task, error: ServiceError) -> JobFailedError:
    """Fail the task for good."""
    workshop.ledger.fail(task.task_id, error)
    _no_retry()
    return JobFailedError(f"{error.code}: {error.detail}")


def _postponed(workshop: Workshop, task: Task, error: DependencyError) -> JobFailedError:
    """Leave the task to RQ's next try, if there is one left."""
    job = get_current_job()
    if job is None or not job.should_retry:
        return _ended(workshop, task, error)
    if not workshop.ledger.retry(task.task_id, error):
        _no_retry()
    return JobFailedError(f"{error.code}: {error.detail}")


def _no_retry() -> None:
    job = get_current_job()
    if job is not None:
        job.retries_left = 0
