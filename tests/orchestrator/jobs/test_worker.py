"""Real workers on a real Redis; only the model is not."""

import base64
import binascii
import errno
import io
import json
import os
import pickle
import re
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import pytest
import redis
from rq.registry import FailedJobRegistry
from rq.utils import now

from orchestrator.blobs.base import upload_name
from orchestrator.errors import (
    ModelContractError,
    ModelUnavailableError,
    NotAnImageError,
    ServiceError,
)
from orchestrator.jobs import keys
from orchestrator.jobs.horse import TaskWorker
from orchestrator.jobs.ledger import LEASE_SECONDS
from orchestrator.jobs.overview import look
from orchestrator.jobs.rq_job import TaskJob, open_queue
from orchestrator.jobs.run import JobFailedError, furnish, run_task
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.task import Kind, Reason, Task
from orchestrator.jobs.wiring import (
    create_desk,
    create_ledger,
    create_submitter,
    create_workshop,
)
from orchestrator.redis_client import connect, text
from orchestrator.settings import Settings
from orchestrator.storage.create import create_store
from orchestrator.study import Options
from orchestrator.thresholds import ThresholdSet, write_thresholds
from tests.support.cloudinary_server import API_KEY, API_SECRET, CLOUD, cloudinary_server
from tests.support.failover import running_pair
from tests.support.fake_model_server import CARD, FakeServer, serving
from tests.support.fake_worker import FakeModel
from tests.support.images import gradient, png
from tests.support.overlays import overlay
from tests.support.ports import free_port
from tests.support.waiting import eventually
from tests.support.workers import CXR, Service

IMAGE = png(gradient(64, 64))


def submit(settings: Settings, client: redis.Redis, upload: bytes = IMAGE) -> str:
    return create_submitter(settings, client).submit(Submission([upload], Options())).identifier


def find(settings: Settings, client: redis.Redis, task_id: str) -> Task:
    task = create_ledger(settings, client).find(task_id)
    assert task is not None
    return task


def test_a_task_ends_in_its_result(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    log = work()
    desk = create_desk(settings, client, create_store(settings))
    task, content = desk.result(task_id)
    assert (task.status, task.attempts, log) == ("SUCCESS", 1, "")
    assert content is not None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        report = json.loads(archive.read("report.json"))
    assert report["analysis_id"] == task.analysis_id
    # the upload is gone at once, and with it its bytes
    assert client.keys("cxr:blob:upload-*") == []
    assert client.keys("rq:results:*") == []
    assert int(client.hget(keys.SIZES, "total") or 0) == len(content)


@pytest.mark.parametrize("error", [None, ModelUnavailableError, ModelContractError])
def test_a_task_that_is_forgotten_while_it_is_worked_on_leaves_nothing(
    client: redis.Redis, settings: Settings, error: type[ServiceError] | None
) -> None:
    """It is taken for an orphan, put back, cancelled; and then the worker that had it goes on after all."""
    submission = Submission([IMAGE], Options(), kind="hosted")
    task_id = create_submitter(settings, client).submit(submission).identifier
    ledger = create_ledger(settings, client)
    workshop = create_workshop(settings, client)
    analysis_id = find(settings, client, task_id).analysis_id

    class SlowModel(FakeModel):
        def predict(self, *arguments: Any) -> Any:
            client.hset(keys.task_key(task_id), "status", "RETRY")
            ledger.forget(task_id)
            if error is not None:
                # by the worker that it was put back for
                workshop.store.put(workshop.store.name(analysis_id), [overlay()])
                raise error("away")
            return super().predict(*arguments)

    furnish(replace(workshop, model=SlowModel()))
    assert run_task(task_id) == "nothing to do"
    assert client.keys("cxr:blob:*") == []
    assert not [path for path in Path(settings.data_dir).rglob("*-0.*") if path.is_file()]


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_try_that_fails_takes_its_pictures_back_unless_the_task_is_another_worker_s(
    client: redis.Redis, settings: Settings, is_lost: bool
) -> None:
    """The lease of the first lapses; the second succeeds, and then an upload of the first fails."""
    with cloudinary_server() as cloud:
        hosted = replace(
            settings,
            cloudinary_cloud_name=CLOUD,
            cloudinary_api_key=API_KEY,
            cloudinary_api_secret=API_SECRET,
            cloudinary_upload_prefix=cloud.url,
        )
        desk = create_desk(hosted, client, create_store(hosted))
        options = Options(heatmaps=("Mass", "Edema"))
        task_id = desk.submitter.submit(Submission([IMAGE], options, kind="hosted")).identifier
        workshop = create_workshop(hosted, client)
        keep_name = workshop.ledger.keep_name

        def slow(*arguments: str) -> str:
            name = keep_name(*arguments)
            if is_lost:
                client.hset(keys.task_key(task_id), "status", "RETRY")
                furnish(replace(create_workshop(hosted, client), model=FakeModel()))
                run_task(task_id)
            cloud.broken_ids = ("-1",)
            return name

        furnish(replace(workshop, model=FakeModel()))
        with suppress(JobFailedError), patch.object(workshop.ledger, "keep_name", slow):
            run_task(task_id)
        task = find(hosted, client, task_id)
        assert (task.status, len(cloud.assets)) == (("SUCCESS", 2) if is_lost else ("FAILURE", 0))


@pytest.mark.parametrize("blobs", ["redis", "disk"])
@pytest.mark.parametrize("kind", ["zip", "hosted"])
def test_a_try_that_has_lost_its_task_leaves_what_another_has_kept_alone(
    client: redis.Redis, settings: Settings, kind: Kind, blobs: str
) -> None:
    """Its worker stands still past its lease; another one has ended the task with another model when it goes on."""
    settings = replace(settings, blobs=blobs)
    desk = create_desk(settings, client, create_store(settings))
    submission = Submission([IMAGE], Options(heatmaps=("Mass",)), kind=kind)
    task_id = desk.submitter.submit(submission).identifier
    workshop = create_workshop(settings, client)

    def kept() -> dict[Any, Any]:
        files = {path: path.read_bytes() for path in settings.data_dir.rglob("*-*")}
        return files | {name: client.get(name) for name in client.keys("cxr:blob:*")}

    found: list[Any] = []

    class SlowModel(FakeModel):
        def predict(self, *arguments: Any) -> Any:
            client.hset(keys.task_key(task_id), "status", "RETRY")
            furnish(replace(workshop, model=FakeModel()))
            assert run_task(task_id) == "SUCCESS"
            found[:] = [*desk.result(task_id), kept(), client.hgetall(keys.SIZES)]
            served, raw = super().predict(*arguments)
            return served, replace(raw, probabilities=np.array([0.9, 0.8, 0.7], np.float32))

    furnish(replace(workshop, model=SlowModel()))
    assert run_task(task_id) == "nothing to do"
    task, content = found[:2]
    assert (task.status, task.attempts) == ("SUCCESS", 2)
    assert [*desk.result(task_id), kept(), client.hgetall(keys.SIZES)] == found
    assert client.hget(keys.SIZES, "total") == str(len(content)).encode()
    desk.forget(task_id)
    assert kept() == {}
    assert client.hget(keys.SIZES, "total") == b"0"


def test_a_try_that_is_not_told_that_it_has_ended_its_task_leaves_its_result(
    client: redis.Redis, settings: Settings
) -> None:
    """The answer is lost with the connection, and it says so again."""
    task_id = submit(settings, client)
    workshop = create_workshop(settings, client)
    succeed = workshop.ledger.succeed

    def twice(*arguments: Any, **named: Any) -> bool:
        assert succeed(*arguments, **named)
        return succeed(*arguments, **named)

    furnish(replace(workshop, model=FakeModel()))
    with patch.object(workshop.ledger, "succeed", twice):
        assert run_task(task_id) == "nothing to do"
    _, content = create_desk(settings, client, create_store(settings)).result(task_id)
    assert content


def test_pictures_are_found_by_whoever_has_another_secret_of_the_store(
    client: redis.Redis, settings: Settings
) -> None:
    """It is changed after a first try has drawn; what a second draws replaces that, and is deleted with the task."""
    before, after = (replace(settings, files_secret=secret) for secret in ("before", "after"))
    desk = create_desk(after, client, create_store(after))
    options = Options(heatmaps=("Mass", "Edema"))
    task_id = desk.submitter.submit(Submission([IMAGE], options, kind="hosted")).identifier
    for used in (before, after):
        workshop = create_workshop(used, client)
        workshop.blobs.put(upload_name(task_id), IMAGE, 100)
        client.hset(keys.task_key(task_id), "status", "PENDING")
        furnish(replace(workshop, model=FakeModel()))
        assert run_task(task_id) == "SUCCESS"
        assert len(list(settings.data_dir.rglob("*-?.jpg"))) == 2
    desk.forget(task_id)
    assert not list(settings.data_dir.rglob("*-?.jpg"))


@pytest.mark.parametrize("retries", ["1", "40"])
def test_a_task_costs_five_work_horses_whatever_tries_it_has_left(
    client: redis.Redis, settings: Settings, work: Callable[..., str], retries: str
) -> None:
    task_id = submit(replace(settings, job_retries=int(retries)), client)
    ledger = create_ledger(settings, client)
    for deaths in range(1, 6):
        work(FAKE_MODEL="deadly", JOB_RETRIES=retries)
        task = find(settings, client, task_id)
        assert (task.status, task.attempts) == ("RETRY" if deaths < 5 else "FAILURE", deaths)
        assert client.zcard(keys.RQ_FAILED) == (0 if deaths < 5 else 1)
        if deaths < 5:
            client.zadd(keys.RQ_SCHEDULED, {task_id: 0}, xx=True)
            assert ledger.care() == []
    assert task.reason is not None
    assert task.reason.code == "job_crashed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("last", "code"), [("slow", "job_timeout"), ("deadly", "job_crashed"), ("fine", None)]
)
def test_a_task_may_take_too_long_five_times_whatever_tries_it_has_left(
    client: redis.Redis, settings: Settings, work: Callable[..., str], last: str, code: str | None
) -> None:
    """A work-horse that dies at it counts alike, and a slow moment passes."""
    task_id = submit(settings, client)
    ledger = create_ledger(settings, client)
    for attempts, model in enumerate(["slow", "slow", "slow", "slow", last], 1):
        work(FAKE_MODEL=model, JOB_TIMEOUT="1")
        task = find(settings, client, task_id)
        status = "RETRY" if attempts < 5 else "FAILURE" if code else "SUCCESS"
        assert (task.status, task.attempts) == (status, attempts)
        if attempts < 5:
            assert task.reason is not None
            assert task.reason == Reason("job_timeout", "the image took longer than 1 seconds")
            client.zadd(keys.RQ_SCHEDULED, {task_id: 0}, xx=True)
            assert ledger.care() == []
    assert (task.reason.code if task.reason else None) == code
    assert client.zcard(keys.RQ_FAILED) == (1 if code else 0)
    assert client.zcard(keys.RQ_SCHEDULED) == client.llen(keys.RQ_QUEUE) == 0
    assert client.hget(keys.job_key(task_id), "status") == (b"failed" if code else b"finished")


@pytest.mark.parametrize(("accepted", "now", "status"), [(1, 60, "SUCCESS"), (60, 1, "RETRY")])
def test_a_task_may_take_as_long_as_the_setting_of_its_worker_says(
    client: redis.Redis,
    settings: Settings,
    work: Callable[..., str],
    accepted: int,
    now: int,
    status: str,
) -> None:
    task_id = submit(replace(settings, job_timeout=accepted), client)
    work(FAKE_MODEL="slow", JOB_TIMEOUT=str(now))
    task = find(settings, client, task_id)
    late = Reason("job_timeout", f"the image took longer than {now} seconds")
    assert (task.status, task.reason) == (status, late if status == "RETRY" else None)


def test_a_work_horse_that_dies_once_its_task_has_succeeded_leaves_no_failed_job(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    work(FAKE_DEATH="late")
    assert find(settings, client, task_id).status == "SUCCESS"
    assert client.hget(keys.job_key(task_id), "status") == b"finished"
    assert look(client).failed == client.zcard(keys.RQ_FAILED) == 0
    assert client.zscore(keys.RQ_FINISHED, task_id) is not None
    assert client.zcard(keys.RQ_STARTED) == 0
    assert client.keys("rq:execution*") == []


def test_a_task_that_is_forgotten_once_it_is_taken_costs_no_work_horse(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    submit(settings, client)
    assert work(FAKE_WORKER="hasty caller") == ""
    assert client.zcard(keys.RQ_STARTED) == 0
    assert client.keys("rq:execution*") == []
    assert client.keys("cxr:task:*") == []


def test_a_signal_that_comes_before_a_worker_can_take_it_ends_it(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    assert work(FAKE_SIGNAL="early") == ""
    assert find(settings, client, task_id).status == "PENDING"
    assert look(client).workers == 0


@pytest.mark.slow
def test_a_worker_that_was_not_heard_of_for_long_is_listed_again(
    client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    """Where its machine stood still or Redis was away, its key has run out and CARE has struck it off the lists."""
    worker = Service([*CXR, "worker"], environment, tmp_path / "worker.log")
    worker.start()
    try:
        eventually(lambda: look(client).workers == 1)
        client.delete("rq:workers", f"rq:workers:{keys.QUEUE_NAME}", *client.keys("rq:worker:*"))
        assert look(client).workers == 0
        eventually(lambda: look(client).workers == 1)
    finally:
        assert worker.stop() == 0


@pytest.mark.slow
def test_a_worker_sweeps_the_pictures_in_its_own_folder(
    client: redis.Redis, environment: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    old = settings.data_dir / "files" / "ab" / "old.jpg"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"1")
    os.utime(old, (0, 0))
    worker = Service([*CXR, "worker"], environment, tmp_path / "worker.log")
    worker.start()
    try:
        eventually(lambda: not old.exists())
    finally:
        assert worker.stop() == 0


@pytest.mark.slow
def test_a_worker_keeps_one_horse_however_often_it_starts_again(
    client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    """It does so each second while Redis has no memory left, and none of its writes are taken."""
    client.config_set("maxmemory", 1)
    worker = Service([*CXR, "worker"], environment, tmp_path / "worker.log")
    worker.start()
    try:
        eventually(lambda: worker.log.read_text().count("worker starts again") >= 5)
        assert len(worker.horses()) <= 1
        client.config_set("maxmemory", 0)
        eventually(lambda: look(client).workers == 1)
        time.sleep(1)  # its signals are RQ's from then on
    finally:
        client.config_set("maxmemory", 0)
        assert worker.stop() == 0


@pytest.mark.slow
def test_a_worker_takes_no_more_however_often_it_starts_again(
    client: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    """It does so each time that Redis is a replica for a while, as such a one takes no writes."""
    worker = Service([*CXR, "worker"], environment, tmp_path / "worker.log")
    worker.start()

    def taken() -> tuple[int, int, int]:
        process = psutil.Process(worker.running.pid)
        return process.num_threads(), process.num_fds(), len(client.client_list())

    try:
        eventually(lambda: look(client).workers == 1)
        time.sleep(1)
        before = taken()
        for _ in range(3):
            starts = worker.log.read_text().count("worker starts again")
            client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
            eventually(lambda: worker.log.read_text().count("worker starts again") > starts)  # noqa: B023
            client.execute_command("REPLICAOF", "NO", "ONE")
            eventually(lambda: len(client.client_list(_type="pubsub")) > 0)
            time.sleep(2)
        eventually(lambda: all(now <= then for now, then in zip(taken(), before, strict=True)))
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert worker.stop() == 0


@pytest.mark.slow
def test_tasks_are_accepted_and_tried_again_at_the_new_master_after_a_failover(
    tmp_path: Path,
) -> None:
    """Worker, caretaker and whoever submits stay connected to the old one, and their address leads to the new one."""
    with running_pair(tmp_path) as pair, connect(pair.url) as client:
        variables = {
            "REDIS_URL": pair.url,
            "DATA_DIR": str(tmp_path),
            "MODEL_SERVER": f"127.0.0.1:{free_port()}",  # of nobody, so that each try fails
        }
        settings = Settings.from_mapping(variables)
        worker = Service([*CXR, "worker"], variables, tmp_path / "worker.log")
        worker.start()
        try:
            before = submit(settings, client)
            eventually(lambda: find(settings, client, before).attempts > 0)
            pair.fail_over()
            after = submit(settings, client)
            with pair.new.client() as new:
                eventually(lambda: find(settings, new, after).attempts > 1)
                assert look(new).workers == 1
        finally:
            assert worker.stop() == 0


def test_a_worker_without_a_horse_harms_no_other_process_and_leaves_nothing_open(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't fork, as no process or no memory is left. What it would kill is noted, and lives."""
    killed: list[int] = []

    def kill(pid: int, _: int) -> None:
        killed.append(pid)
        raise ProcessLookupError

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    queue, ledger = open_queue(client), create_ledger(settings, client)
    worker = TaskWorker(queue, ledger, 120, prepare=lambda: None)
    monkeypatch.setattr("orchestrator.jobs.horse._WORKER_TTL", 0)
    with subprocess.Popen(["sleep", "5"]), monkeypatch.context() as patched:
        patched.setattr(os, "kill", kill)
        patched.setattr(os, "fork", fork)
        before = psutil.Process().num_fds()
        for _ in range(2):
            with pytest.raises(BlockingIOError):
                worker.make_ready()
        worker.dismiss()
    assert killed == []
    assert psutil.Process().num_fds() == before


def test_a_horse_that_somebody_else_has_seen_off_is_done_with(
    client: redis.Redis, settings: Settings
) -> None:
    ledger = create_ledger(settings, client)
    worker = TaskWorker(open_queue(client), ledger, 120, prepare=lambda: None)
    others = set(psutil.Process().children())
    worker.make_ready()
    (horse,) = set(psutil.Process().children()) - others
    horse.kill()
    os.waitpid(horse.pid, 0)
    worker.dismiss()
    worker.make_ready()
    worker.dismiss()


@pytest.mark.slow
def test_a_task_that_takes_longer_than_a_lease_stays_with_its_worker(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    ledger = create_ledger(settings, client)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, FAKE_MODEL="slow", FAKE_SECONDS=str(LEASE_SECONDS + 8))
        while not working.done():
            assert ledger.care() == []
            time.sleep(0.5)
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("SUCCESS", 1)


def test_a_worker_whose_clock_was_set_back_is_heard_of_all_the_same(
    client: redis.Redis, settings: Settings
) -> None:
    worker = TaskWorker(open_queue(client), create_ledger(settings, client), 120, lambda: None)
    worker.last_heartbeat = now() + timedelta(hours=1)
    worker.heartbeat()
    assert 85 < client.ttl(worker.key) <= 90


def test_a_worker_that_ends_leaves_no_sign_of_life_though_redis_is_full(
    client: redis.Redis, settings: Settings
) -> None:
    worker = TaskWorker(open_queue(client), create_ledger(settings, client), 120, lambda: None)
    worker.register_birth()  # type: ignore[no-untyped-call]
    assert look(client).workers == 1
    client.config_set("maxmemory", 1)
    try:
        worker.close()
        assert look(client).workers == 0
    finally:
        client.config_set("maxmemory", 0)


def test_a_worker_leaves_the_jobs_of_one_whose_clock_is_behind(
    client: redis.Redis, settings: Settings
) -> None:
    task_id = submit(settings, client)
    queue = open_queue(client)
    job = TaskJob.fetch(task_id, connection=client, serializer=queue.serializer)
    client.lrem(keys.RQ_QUEUE, 0, task_id)
    client.zadd(keys.RQ_STARTED, {f"{task_id}:execution": time.time() - 10})
    worker = TaskWorker(queue, create_ledger(settings, client), 120, lambda: None)
    worker.run_maintenance_tasks()  # type: ignore[no-untyped-call]
    assert not worker.should_run_maintenance_tasks
    assert client.zcard(keys.RQ_SCHEDULED) == client.llen(keys.RQ_QUEUE) == 0
    job.refresh()  # type: ignore[no-untyped-call]
    assert job.retries_left == 40


@pytest.mark.slow
def test_a_clock_that_is_set_on_costs_no_task_its_worker(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    log = work(FAKE_MODEL="slow", FAKE_WORKER="jumpy clock")
    assert "killed" not in log
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("SUCCESS", 1)


@pytest.mark.slow
def test_a_worker_that_lacks_something_takes_no_task(
    client: redis.Redis, environment: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    variables = {**environment, "MODEL_SERVER": f"127.0.0.1:{free_port()}"}
    worker = Service([*CXR, "worker"], variables, tmp_path / "worker.log")
    worker.start()
    try:
        eventually(lambda: look(client).workers == 1)
        secret = settings.data_dir / "files.secret"
        away = secret.rename(tmp_path / "elsewhere")
        secret.mkdir()
        for horse in worker.horses():
            horse.kill()
        first = submit(settings, client)  # finds out, and costs a horse
        eventually(lambda: look(client).workers == 0)
        second = submit(settings, client)
        time.sleep(5)
        waiting = find(settings, client, second)
        assert (waiting.status, waiting.attempts) == ("PENDING", 0)
        secret.rmdir()
        away.rename(secret)
        ledger = create_ledger(settings, client)

        def has_begun(task_id: str) -> bool:
            ledger.care()
            return find(settings, client, task_id).attempts > 0

        eventually(lambda: has_begun(first))
        eventually(lambda: has_begun(second))
    finally:
        assert worker.stop() == 0
    reasons = [find(settings, client, task_id).reason for task_id in (first, second)]
    assert {reason.code for reason in reasons if reason} == {"model_unavailable"}


@pytest.mark.slow
def test_thresholds_are_those_of_the_start_until_the_next_one(
    client: redis.Redis, environment: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    """For every work-horse of a worker, as for the API, though the file is another meanwhile."""
    path = tmp_path / "thresholds.json"
    values = ThresholdSet(
        model_name=CARD.name,
        card_digest=CARD.digest,
        thresholds=dict.fromkeys(CARD.labels, 0.25),
        method="first",
        images=1,
    )
    write_thresholds(path, values)
    desk = create_desk(settings, client, create_store(settings))

    def used() -> object:
        task_id = submit(settings, client)
        eventually(lambda: find(settings, client, task_id).status == "SUCCESS")
        _, content = desk.result(task_id)
        with zipfile.ZipFile(io.BytesIO(content or b"")) as archive:
            return json.loads(archive.read("report.json"))["model"]["thresholds"]

    with serving(FakeServer()) as port:
        variables = {"THRESHOLDS": str(path), "MODEL_SERVER": f"127.0.0.1:{port}"}
        worker = Service([*CXR, "worker"], environment | variables, tmp_path / "worker.log")
        for method in ("first", "second"):
            worker.start()
            try:
                assert used() == method
                write_thresholds(path, replace(values, method="second"))
                (horse,) = worker.horses()
                horse.kill()
                assert used() == method
            finally:
                assert worker.stop() == 0


def test_with_blobs_on_the_disk_redis_holds_records_only(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    on_disk = replace(settings, blobs="disk")
    task_id = submit(on_disk, client)
    work(BLOBS="disk")
    desk = create_desk(on_disk, client, create_store(on_disk))
    _, content = desk.result(task_id)
    assert content is not None
    assert client.keys("cxr:blob:*") == []
    names = [path.name for path in (settings.data_dir / "blobs").iterdir()]
    assert names == [f"result-{task_id}-1"]
    desk.forget(task_id)
    assert list((settings.data_dir / "blobs").iterdir()) == []


@pytest.mark.parametrize(("before", "after"), [("disk", "redis"), ("redis", "disk")])
def test_blobs_are_found_and_deleted_where_they_were_kept_before(
    client: redis.Redis, settings: Settings, work: Callable[..., str], before: str, after: str
) -> None:
    """Both are switched: a waiting upload and a failed task's; and a result, back again."""
    was, now = (replace(settings, blobs=blobs) for blobs in (before, after))
    done, failed, waiting = (submit(was, client, upload) for upload in (IMAGE, b"no", IMAGE))
    client.lrem(keys.RQ_QUEUE, 0, waiting)
    work(BLOBS=after)
    client.rpush(keys.RQ_QUEUE, waiting)

    def kept() -> list[str]:
        on_disk = [path.name for path in settings.data_dir.glob("blobs/*")]
        in_redis = [text(key).removeprefix("cxr:blob:") for key in client.keys("cxr:blob:*")]
        return sorted(on_disk + in_redis)

    left = [f"result-{done}-1", f"upload-{failed}", f"upload-{waiting}"]
    swept = [f"upload-{done}"] if before == "disk" else []  # by whoever keeps none there, in time
    assert kept() == sorted(left + swept)
    _, content = create_desk(was, client, create_store(was)).result(done)
    assert content is not None
    desk = create_desk(now, client, create_store(now))
    for task_id in (done, failed, waiting):
        desk.forget(task_id)
    assert kept() == []


def test_no_key_is_without_an_end_but_statistics_and_lists_that_are_others_as_well(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    for upload in (IMAGE, b"no image", IMAGE):
        submit(settings, client, upload)
    work()
    create_ledger(settings, client).care()
    endless = [key for key in client.scan_iter() if client.ttl(key) < 0]
    assert [key for key in endless if not key.startswith(b"cxr:stats")] == [b"rq:queues"]


def test_memory_goes_back_after_the_ttls(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    short = replace(settings, queue_ttl=2, result_ttl=1, result_memory=0)

    def burst() -> int:
        """Return what Redis holds at the most."""
        for _ in range(20):
            submit(short, client, IMAGE + bytes(100_000))
        most: int = client.info("memory")["used_memory"]
        work(QUEUE_TTL="30", RESULT_TTL="1", RESULT_MEMORY="0")
        time.sleep(3)
        create_ledger(short, client).care()
        return most

    burst()  # scripts and buffers stay
    before = client.info("memory")["used_memory"]
    assert burst() - before > 1_000_000
    left = [key for key in client.scan_iter() if not key.startswith((b"cxr:stats", b"rq:worker"))]
    assert not [key for key in left if key.startswith((b"cxr:blob", b"cxr:task", b"rq:job"))]
    assert client.info("memory")["used_memory"] - before < 200_000


def test_a_finished_task_takes_what_the_documents_reckon_with(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    plan = (Path(__file__).parents[3] / "docs" / "capacity.md").read_text()
    job, record = map(int, re.findall(r"^\| its (?:job|record) \| (\d+) \|", plan, re.MULTILINE))
    formula = f"rate × ({job} kB × RESULT_TTL + {record} kB × (RESULT_TTL + RESULT_MEMORY))"
    assert formula in plan
    (once,) = re.findall(r"^\| its `Idempotency-Key`, .+ \| ([\d.]+) \|", plan, re.MULTILINE)
    submitter = create_submitter(settings, client)
    for number in range(20):
        submitter.submit(Submission([IMAGE], Options()), str(number))
    work()

    def taken(*patterns: str) -> float:
        found = [key for pattern in patterns for key in client.scan_iter(match=pattern)]
        return sum(client.memory_usage(key, samples=0) or 0 for key in found) / 20 / 1000

    assert job / 2 < taken("rq:job:*", "rq:finished:*", "rq:results:*", f"{keys.HELD}*") <= job
    assert record / 2 < taken(keys.task_key("*")) <= 1.05 * record
    assert float(once) - 0.1 < taken(keys.idempotency_key("*")) <= float(once)
    others = (
        b"rq:",
        b"cxr:task:",
        b"cxr:blob:",
        b"cxr:held",
        b"cxr:idempotency:",
        b"cxr:audit",
        b"cxr:stats",
        b"cxr:tick",
    )
    assert [key for key in client.scan_iter() if not key.startswith(others)] == []


def test_a_bad_image_fails_at_once_and_keeps_its_own_error(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client, b"no image")
    work()
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("FAILURE", 1)
    desk = create_desk(settings, client, create_store(settings))
    with pytest.raises(NotAnImageError):
        desk.result(task_id)
    assert client.zcard(keys.RQ_SCHEDULED) == 0


def test_a_model_that_is_away_is_waited_for_with_growing_patience(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(replace(settings, job_retries=10), client)
    ledger = create_ledger(settings, client)
    work(FAKE_MODEL="away")
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("RETRY", 1)
    assert task.reason is not None
    assert task.reason.code == "model_unavailable"
    assert patience(client, task_id) == pytest.approx(1, abs=1)
    time.sleep(1.5)
    ledger.care()
    assert ledger.position(task_id) == 1
    work(FAKE_MODEL="away")
    job = client.hmget(keys.job_key(task_id), "retries_left", "retry_intervals")
    assert job == [b"8", b"[1, 2, 5, 10, 20, 30, 30, 30, 30, 30]"]
    assert client.zscore(keys.RQ_SCHEDULED, task_id) is not None


def test_a_result_that_would_find_no_room_in_an_empty_queue_ends_its_task(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    work(QUEUE_BYTES="100")
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("FAILURE", 1)
    assert task.reason is not None
    assert task.reason.code == "result_too_large"
    assert "at most 150 bytes larger than the image" in task.reason.detail


@pytest.mark.parametrize("held", [74_000, 100_000])
def test_a_result_that_finds_no_room_is_tried_again(
    client: redis.Redis, settings: Settings, work: Callable[..., str], held: int
) -> None:
    """Whether others hold more than may be held already, or it is this one that is too much."""
    task_id = submit(settings, client)
    client.hincrby(keys.SIZES, "total", held)
    work(QUEUE_BYTES="50000")  # 75000 may be held
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("RETRY", 1)
    assert task.reason is not None
    assert task.reason.code == "queue_full"
    assert client.keys("cxr:blob:result-*") == []
    time.sleep(1.5)
    create_ledger(settings, client).care()
    work(QUEUE_BYTES="1000000")
    assert find(settings, client, task_id).status == "SUCCESS"


def test_what_was_accepted_is_done_after_less_may_be_held(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    """Uploads alone are more than results may make of it; each result is less than the upload it replaces."""
    task_ids = [submit(settings, client, IMAGE + bytes(50_000)) for _ in range(3)]
    work(QUEUE_BYTES="1000")
    tasks = [find(settings, client, task_id) for task_id in task_ids]
    assert [(task.status, task.attempts) for task in tasks] == [("SUCCESS", 1)] * 3
    results = [client.strlen(f"cxr:blob:result-{task_id}-1") for task_id in task_ids]
    assert min(results) > 500  # the three are more than 1.5 times QUEUE_BYTES
    assert int(client.hget(keys.SIZES, "total") or 0) == sum(results)


@pytest.mark.parametrize(
    ("blobs", "model", "timeout", "status", "code"),
    [
        ("disk", "fine", 120, "SUCCESS", None),
        ("disk", "fine", 2, "SUCCESS", None),
        ("redis", "fine", 120, "RETRY", "redis_unavailable"),
        ("redis", "fine", 2, "RETRY", "redis_unavailable"),
        ("disk", "away", 120, "RETRY", "model_unavailable"),
        ("disk", "wrong", 120, "FAILURE", "model_contract"),
    ],
)
def test_a_try_that_ends_while_redis_takes_no_writes_is_none_that_crashed(
    client: redis.Redis,
    settings: Settings,
    work: Callable[..., str],
    blobs: str,
    model: str,
    timeout: int,
    status: str,
    code: str | None,
) -> None:
    task_id = submit(replace(settings, blobs=blobs), client)
    try:
        log = work(BLOBS=blobs, FAKE_MODEL=model, FAKE_FULL_SECONDS="3", JOB_TIMEOUT=str(timeout))
    finally:
        client.config_set("maxmemory", 0)
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == (status, 1)
    assert (task.reason.code if task.reason else None) == code
    assert client.hget(keys.task_key(task_id), "crashes") is None
    assert (client.zscore(keys.RQ_SCHEDULED, task_id) is not None) == (status == "RETRY")
    assert "terminated unexpectedly" not in log


def test_what_waiting_does_not_mend_fails_at_once(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(settings, client)
    work(FAKE_MODEL="wrong")
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("FAILURE", 1)
    assert task.reason is not None
    assert task.reason.code == "model_contract"
    assert client.zcard(keys.RQ_SCHEDULED) == 0


def patience(client: redis.Redis, task_id: str) -> float:
    """Return how long after its last try a task waits for the next."""
    due = client.zscore(keys.RQ_SCHEDULED, task_id)
    started = client.hget(keys.task_key(task_id), "started")
    assert isinstance(due, float)
    assert isinstance(started, bytes)
    return due - float(started)


def test_when_no_try_is_left_the_task_fails_with_the_reason(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    task_id = submit(replace(settings, job_retries=1), client)
    work(FAKE_MODEL="away")
    time.sleep(2)
    create_ledger(settings, client).care()
    work(FAKE_MODEL="away")
    task = find(settings, client, task_id)
    assert (task.status, task.attempts) == ("FAILURE", 2)
    assert task.reason is not None
    assert task.reason.code == "model_unavailable"


@pytest.mark.parametrize("deaths", [0, 1])
def test_a_failed_task_that_is_put_back_has_its_tries_anew(
    client: redis.Redis, settings: Settings, work: Callable[..., str], deaths: int
) -> None:
    """A work-horse that dies at it takes none but its own."""
    task_id = submit(replace(settings, job_retries=2), client)
    work(FAKE_MODEL="wrong")
    assert find(settings, client, task_id).status == "FAILURE"
    FailedJobRegistry(queue=open_queue(client), job_class=TaskJob).requeue(task_id)
    statuses = []
    for model in ["deadly"] * deaths + ["away"] * (3 - deaths):
        work(FAKE_MODEL=model)
        statuses.append(find(settings, client, task_id).status)
        client.zadd(keys.RQ_SCHEDULED, {task_id: 0}, xx=True)
        create_ledger(settings, client).care()
    assert statuses == ["RETRY", "RETRY", "FAILURE"]
    assert client.zcard(keys.RQ_FAILED) == 1


@pytest.mark.parametrize("model", ["fine", "away", "wrong"])
@pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
def test_the_job_of_a_task_that_another_worker_has_ended_is_what_the_task_is(
    client: redis.Redis, settings: Settings, work: Callable[..., str], model: str, status: str
) -> None:
    task_id = submit(settings, client)
    work(FAKE_MODEL=model, FAKE_END=status)
    assert find(settings, client, task_id).status == status
    is_failed = status == "FAILURE"
    assert client.hget(keys.job_key(task_id), "status") == (b"failed" if is_failed else b"finished")
    assert look(client).failed == client.zcard(keys.RQ_FAILED) == int(is_failed)
    assert client.zcard(keys.RQ_SCHEDULED) == 0


def hostile(marker: str) -> dict[str, dict[str, bytes]]:
    """Return kinds of fields that whoever can write to Redis may plant in a job."""
    pickled = pickle.dumps(Exploit(marker))

    def call(*words: object) -> dict[str, bytes]:
        return {"data": zlib.compress(json.dumps(words).encode())}

    return {
        "another function": call("os.system", None, [f"touch {marker}"], {}),
        "another task": call("orchestrator.jobs.run.run_task", None, ["another"], {}),
        "a pickle": {"data": zlib.compress(pickled)},
        "a bare pickle": {"data": pickled},
        "a callback": {"failure_callback_name": b"tests.support.fake_worker.main"},
        "a pickled meta": {"meta": pickled},
        "a pickled result": {"result": pickled},
        "no status": {"status": b"boom"},
        "bytes": {"data": b"\x00\xff"},
    }


class Exploit:
    """Create a file when it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_hostile_job_is_failed_and_runs_nothing(
    client: redis.Redis, settings: Settings, work: Callable[..., str], tmp_path: Path
) -> None:
    marker = tmp_path / "owned"
    planted = hostile(str(marker))
    tasks = {kind: submit(settings, client) for kind in planted}
    for kind, values in planted.items():
        for name, value in values.items():
            client.hset(keys.job_key(tasks[kind]), name, value)
    work()
    assert not marker.exists()
    ends = {
        kind: (client.hget(keys.job_key(task_id), "status"), find(settings, client, task_id).status)
        for kind, task_id in tasks.items()
    }
    # what is beside the job's own words is not believed either, but does no harm to the task
    harmless = ("a callback", "a pickled meta", "a pickled result")
    assert ends == {
        kind: (b"finished", "SUCCESS") if kind in harmless else (b"failed", "FAILURE")
        for kind in planted
    }
    assert create_ledger(settings, client).care() == []


def test_a_record_that_was_tampered_with_runs_nothing(
    client: redis.Redis, settings: Settings, work: Callable[..., str], tmp_path: Path
) -> None:
    marker = tmp_path / "owned"
    task_id = submit(settings, client)
    client.hset(keys.task_key(task_id), "options", pickle.dumps(Exploit(str(marker))))
    work()
    assert not marker.exists()
    task = find(settings, client, task_id)
    assert task.status == "FAILURE"


@pytest.mark.parametrize("name", ["../../elsewhere/overlay", "*", "0" * 31, "0" * 32 + "\n"])
def test_pictures_are_put_and_deleted_by_names_of_the_store_alone(
    client: redis.Redis, settings: Settings, name: str
) -> None:
    """Whatever the record says of them: it would be a path, and a pattern."""
    files = settings.data_dir / "files"
    others = [settings.data_dir / "elsewhere" / "overlay-0.jpg", files / "*" / f"{'1' * 32}-0.jpg"]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"somebody else's")
    desk = create_desk(settings, client, create_store(settings))
    submission = Submission([IMAGE], Options(heatmaps=("Mass",)), kind="hosted")
    task_id = desk.submitter.submit(submission).identifier
    client.hset(keys.task_key(task_id), "pictures", name)
    furnish(replace(create_workshop(settings, client), model=FakeModel()))
    assert run_task(task_id) == "SUCCESS"
    own = desk.store.name(find(settings, client, task_id).analysis_id)
    drawn = files / own[:2] / f"{own}-0.jpg"
    assert sorted(settings.data_dir.rglob("*.jpg")) == sorted([*others, drawn])
    desk.forget(task_id)
    assert sorted(settings.data_dir.rglob("*.jpg")) == sorted(others)
    assert {path.read_bytes() for path in others} == {b"somebody else's"}


def test_nothing_in_redis_is_a_pickle(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    for upload in (IMAGE, b"no image"):
        submit(settings, client, upload)
    work()
    submit(settings, client)
    values = [value for key in client.scan_iter() for value in everything(client, key)]
    assert len(values) > 50
    for value in values:
        for candidate in (value, inflated(value)):
            # Of any protocol since 2; sixteen bytes of a random identifier may begin like one
            begins = candidate[:1] == b"\x80" and candidate[1:2] in (b"\2", b"\3", b"\4", b"\5")
            assert not (begins and candidate.endswith(b"."))
            assert b"\x80\x04\x95" not in candidate


def everything(client: Any, key: bytes) -> list[bytes]:
    """Return every value under a key, whatever its type, but for uploads and pictures."""
    kind = client.type(key)
    if kind == b"hash":
        return [part for pair in client.hgetall(key).items() for part in pair]
    if kind == b"list":
        return list(client.lrange(key, 0, -1))
    if kind == b"set":
        return list(client.smembers(key))
    if kind == b"zset":
        return list(client.zrange(key, 0, -1))
    if kind == b"stream":
        return [part for _, entry in client.xrange(key) for pair in entry.items() for part in pair]
    return [] if b"blob" in key else [client.get(key)]


def inflated(value: bytes) -> bytes:
    for decode in (lambda data: data, base64.b64decode):
        try:
            return zlib.decompress(decode(value))
        except (zlib.error, binascii.Error, ValueError):
            continue
    return value
