import csv
import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis

from orchestrator.errors import TaskExpiredError, TaskNotFoundError
from orchestrator.jobs import keys
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_desk
from orchestrator.settings import Settings
from orchestrator.storage.create import create_store
from orchestrator.study import Options
from tests.support.images import gradient, png

WARNINGS = "The weights are untrained.|Adults only."


def test_a_batch_ends_in_one_archive_with_a_line_per_image(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    image = png(gradient(64, 64))
    shown, _ = desk.submit_batch(Submission([image, b"no image", image], Options(), is_batch=True))
    assert (shown["status"], shown["count"]) == ("PENDING", 3)
    work(FAKE_WARNINGS=WARNINGS)
    batch = desk.batches.find(shown["batch_id"])
    answer = batch.as_json()
    assert answer["counts"] == {"SUCCESS": 2, "FAILURE": 1}
    assert [task["index"] for task in answer["tasks"]] == [1, 2, 3]
    assert answer["tasks"][1]["code"] == "not_an_image"
    desk.forget(answer["tasks"][2]["task_id"])
    content = b"".join(desk.batches.archive(desk.batches.find(shown["batch_id"])))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0001/report.json", "0001/01_Mass.jpg", "summary.csv"]
        rows = list(csv.DictReader(io.StringIO(archive.read("summary.csv").decode())))
    assert list(rows[0]) == [
        *("index", "status", "code", "analysis_id", "findings", "Mass", "Edema", "No Finding"),
        *("model", "version", "warnings"),
    ]
    assert list(rows[0].values())[-3:] == ["densenet", "1", WARNINGS]
    assert list(rows[1].values())[-3:] == ["", "", ""]
    assert [row["status"] for row in rows] == ["SUCCESS", "FAILURE", "FORGOTTEN"]
    assert rows[0]["findings"] == "Mass"
    assert float(rows[0]["Mass"]) == pytest.approx(0.73)
    assert rows[1]["code"] == "not_an_image"


def test_an_unknown_batch_is_not_found(client: redis.Redis, settings: Settings) -> None:
    with pytest.raises(TaskNotFoundError):
        create_desk(settings, client, create_store(settings)).batches.find("0" * 36)


def test_a_batch_is_forgotten_with_its_last_task(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    images = [png(gradient(64, 64))] * 2
    shown, _ = desk.submit_batch(Submission(images, Options(), is_batch=True))
    work()
    first, second = (task["task_id"] for task in shown["tasks"])
    desk.forget(first)
    assert desk.batches.find(shown["batch_id"]).as_json()["status"] == "SUCCESS"
    desk.forget(second)
    with pytest.raises(TaskNotFoundError):
        desk.batches.find(shown["batch_id"])


def test_a_batch_waits_until_a_task_begins_though_others_were_cancelled(
    client: redis.Redis, settings: Settings
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    images = [png(gradient(64, 64))] * 3
    shown, _ = desk.submit_batch(Submission(images, Options(), is_batch=True))
    desk.forget(shown["tasks"][0]["task_id"])
    found = desk.batches.find(shown["batch_id"])
    answer = found.as_json()
    assert (answer["status"], answer["counts"]) == ("PENDING", {"PENDING": 2, "FORGOTTEN": 1})
    forgotten, first, second = found.tasks
    assert first is not None
    begun = replace(found, tasks=(forgotten, replace(first, status="STARTED"), second))
    assert begun.as_json()["status"] == "STARTED"


def test_a_batch_whose_results_are_gone_has_no_archive(
    client: redis.Redis, settings: Settings, work: Callable[..., str]
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    image = png(gradient(64, 64))
    shown, _ = desk.submit_batch(Submission([image, b"no image"], Options(), is_batch=True))
    work()
    first, second = (keys.task_key(task["task_id"]) for task in shown["tasks"])
    client.hset(first, "result_until", time.time() - 1)
    assert b"".join(desk.batches.archive(desk.batches.find(shown["batch_id"])))
    client.hset(second, "result_until", time.time() - 1)
    with pytest.raises(TaskExpiredError):
        desk.batches.archive(desk.batches.find(shown["batch_id"]))
