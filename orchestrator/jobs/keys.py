"""Name the keys in Redis: this service's own, and those of RQ that the scripts touch."""

from typing import Final

QUEUE_NAME: Final = "prediction_tasks"

OPEN: Final = "cxr:open"  # sorted set: task → when somebody should look after it
HELD: Final = "cxr:held"  # sorted set: upload or result → when its bytes are gone
SIZES: Final = "cxr:held:sizes"  # hash: upload or result → bytes; their sum under "total"
TASK: Final = "cxr:task:"  # hash, a task's identifier follows: its record
BATCH: Final = "cxr:batch:"  # list, a batch's identifier follows: its tasks
OUTBOX: Final = "cxr:outbox"  # sorted set: task → when its callback is due
# Held by whoever was the last to look after the tasks (a second), to make calls (a second), to sweep the blobs on the
# disk (a minute), to have the append-only file made anew (a day).
TICK: Final = "cxr:tick"
CALLBACK_TICK: Final = "cxr:tick:callbacks"
SWEEP_TICK: Final = "cxr:tick:sweep"
COMPACTED: Final = "cxr:tick:compaction"
OUTCOMES: Final = "cxr:stats:outcomes"  # hash: what became of tasks → how often, ever

RQ_JOB: Final = "rq:job:"  # a job's identifier follows
RQ_RESULTS: Final = "rq:results:"  # the same
RQ_ALL_WORKERS: Final = "rq:workers"
RQ_WORKERS: Final = f"{RQ_ALL_WORKERS}:{QUEUE_NAME}"
RQ_QUEUE: Final = f"rq:queue:{QUEUE_NAME}"
RQ_INTERMEDIATE: Final = f"{RQ_QUEUE}:intermediate"
RQ_SCHEDULED: Final = f"rq:scheduled:{QUEUE_NAME}"
RQ_STARTED: Final = f"rq:wip:{QUEUE_NAME}"
RQ_FAILED: Final = f"rq:failed:{QUEUE_NAME}"
RQ_FINISHED: Final = f"rq:finished:{QUEUE_NAME}"
# What every script that changes tasks is given first.
RQ: Final = (RQ_QUEUE, RQ_SCHEDULED, RQ_STARTED, RQ_FAILED)


def task_key(task_id: str) -> str:
    """Return the key of a task's record."""
    return f"{TASK}{task_id}"


def job_key(task_id: str) -> str:
    """Return RQ's key for the job of a task."""
    return f"{RQ_JOB}{task_id}"


def batch_key(batch_id: str) -> str:
    """Return the key of a batch's list of tasks."""
    return f"{BATCH}{batch_id}"


def idempotency_key(digest: str) -> str:
    """Return the key that remembers an Idempotency-Key by its digest."""
    return f"cxr:idempotency:{digest}"
