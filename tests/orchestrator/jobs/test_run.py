"""One try at a task, in this process; test_worker has it done by workers."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from rq.timeouts import JobTimeoutException

from orchestrator.blobs.base import upload_name
from orchestrator.jobs import keys, run
from orchestrator.jobs.run import JobFailedError, furnish, run_task
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import (
    create_desk,
    create_ledger,
    create_submitter,
    create_workshop,
)
from orchestrator.model.client import ModelClient
from orchestrator.settings import Settings
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.create import create_store
from orchestrator.study import Options
from tests.support.fake_worker import FakeModel
from tests.support.images import gradient, png

IMAGE = png(gradient(64, 64))


def test_a_task_whose_upload_is_gone_says_so(client: redis.Redis, settings: Settings) -> None:
    submission = Submission([IMAGE], Options())
    task_id = create_submitter(settings, client).submit(submission).identifier
    client.delete(f"cxr:blob:{upload_name(task_id)}")
    furnish(replace(create_workshop(settings, client), model=FakeModel()))
    with pytest.raises(JobFailedError, match=r"^upload_expired: the image .* is no longer kept"):
        run_task(task_id)
    task = create_ledger(settings, client).find(task_id)
    assert task is not None
    assert task.reason is not None
    assert (task.status, task.reason.code) == ("FAILURE", "upload_expired")


def test_two_tries_at_once_put_their_pictures_under_one_name(
    client: redis.Redis, settings: Settings
) -> None:
    """The lease of the first lapses, and the second's worker has another secret of the store."""
    first, second = (
        create_workshop(replace(settings, files_secret=secret), client) for secret in ("one", "two")
    )
    desk = create_desk(settings, client, create_store(settings))
    submission = Submission([IMAGE], Options(heatmaps=("Mass", "Edema")), kind="hosted")
    task_id = desk.submitter.submit(submission).identifier

    class SlowModel(FakeModel):
        def predict(self, *arguments: Any) -> Any:
            client.hset(keys.task_key(task_id), "status", "RETRY")
            furnish(replace(second, model=FakeModel()))
            assert run_task(task_id) == "SUCCESS"
            return super().predict(*arguments)

    furnish(replace(first, model=SlowModel()))
    assert run_task(task_id) == "nothing to do"
    assert len(list(settings.data_dir.rglob("*-?.jpg"))) == 2
    desk.forget(task_id)
    assert not list(settings.data_dir.rglob("*-?.jpg"))


def test_a_try_whose_time_is_over_once_its_result_is_kept_is_followed_by_another(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateStatistics(Statistics):
        def arguments(self, *_: object) -> Any:
            raise JobTimeoutException

    submission = Submission([IMAGE], Options())
    task_id = create_submitter(settings, client).submit(submission).identifier
    monkeypatch.setattr(run, "get_current_job", lambda: SimpleNamespace(should_retry=True))
    workshop = create_workshop(settings, client)
    furnish(replace(workshop, model=FakeModel(), statistics=LateStatistics(client, 30)))
    with pytest.raises(JobFailedError, match=r"^job_timeout: the image took longer than "):
        run_task(task_id)
    task = create_ledger(settings, client).find(task_id)
    assert task is not None
    assert task.reason is not None
    assert (task.status, task.reason.code) == ("RETRY", "job_timeout")


@pytest.mark.parametrize(("job", "call"), [(120, 10.0), (12, 6.0)])
def test_a_model_server_that_hangs_does_not_take_all_of_a_jobs_time(
    client: redis.Redis, settings: Settings, job: int, call: float
) -> None:
    workshop = create_workshop(replace(settings, job_timeout=job, model_timeout=10.0), client)
    assert isinstance(workshop.model, ModelClient)
    assert workshop.model.deadline == call
