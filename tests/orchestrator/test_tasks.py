"""The asynchronous paths to real processes; only the model is a fake, behind real gRPC."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import encoded, gradient, png
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually
from tests.support.workers import CXR, running_api_and_worker

IMAGE = png(gradient(64, 64))
NAME = "DOE^JANE_1970.png"
AS_JSON = {"Content-Type": "application/json"}

# The client program of the original system, as its README prints it.
PROGRAM = """
import requests
import json
import base64
import time

# Prepare the image
with open("chest_xray.jpg", "rb") as f:
    img_data = base64.b64encode(f.read()).decode('utf-8')

# Submit task
task_response = requests.post(
    "http://localhost:5000/async/v2/densenet_predict",
    json={"image": img_data}
)
task_id = task_response.json()["task_id"]
print(f"Task submitted with ID: {task_id}")

# Poll for result
while True:
    status_response = requests.get(f"http://localhost:5000/tasks/{task_id}")
    status = status_response.json()

    if status["status"] == "SUCCESS":
        # Get the result
        result_response = requests.get(f"http://localhost:5000/tasks/{task_id}/result")
        result = result_response.json()
        print("Image URLs:", result["image_urls"])
        break
    elif status["status"] == "FAILURE":
        print("Task failed:", status.get("error"))
        break

    print(f"Status: {status['status']}. Waiting...")
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[httpx.Client]:
    """Run the API with one worker."""
    with (
        serving(FakeServer()) as port,
        running_api_and_worker(folder, port, MAX_UPLOAD_BYTES="1000000") as client,
    ):
        yield client
    for log in ("api.log", "worker.log"):
        text = (folder / log).read_text()
        assert "Traceback" not in text
        assert "DOE" not in text


@pytest.fixture(scope="module")
def idle(folder: Path) -> Iterator[httpx.Client]:
    """Run the API with no worker and a queue of three."""
    with (
        running_redis(folder / "idle-redis") as redis,
        running_api(
            folder / "idle.log",
            REDIS_URL=redis.url,
            QUEUE_LIMIT="3",
            BATCH_FILES="2",
            MAX_UPLOAD_BYTES="100000",
        ) as client,
    ):
        yield client


def submit(client: httpx.Client, upload: bytes = IMAGE, **fields: str) -> Any:
    answer = client.post("/async/densenet_predict", files={"file": (NAME, upload)}, data=fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["status_url"]
    return answer.json()


def done(client: httpx.Client, task: Any) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = client.get(task["status_url"]).json()
        if found["status"] in ("SUCCESS", "FAILURE"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def test_a_task_results_in_what_the_synchronous_call_answers(api: httpx.Client) -> None:
    task = submit(api, font_size="20", format="png")
    assert task["status"] == "PENDING"
    assert done(api, task)["attempts"] == 1
    later = api.get(task["result_url"])
    now = api.post(
        "/densenet_predict", files={"file": IMAGE}, data={"font_size": "20", "format": "png"}
    )
    assert later.headers["content-type"] == now.headers["content-type"] == "application/zip"
    files = [contents(answer.content) for answer in (later, now)]
    reports = [json.loads(each.pop("report.json")) for each in files]
    for report in reports:
        del report["analysis_id"], report["timings_ms"]
    assert reports[0] == reports[1]
    assert files[0] == files[1]


def contents(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_program_of_the_original_system_works_unchanged(
    api: httpx.Client, tmp_path: Path
) -> None:
    pytest.importorskip("requests")
    from PIL import Image

    (tmp_path / "chest_xray.jpg").write_bytes(encoded(Image.open(io.BytesIO(IMAGE)), "JPEG"))
    program = PROGRAM.replace("localhost:5000", f"127.0.0.1:{api.base_url.port}")
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Image URLs: ['http://127.0.0.1" in ran.stdout
    (url,) = json.loads(ran.stdout.partition("Image URLs: ")[2].replace("'", '"'))
    assert api.get(url).headers["content-type"] == "image/jpeg"


def test_a_forgotten_task_takes_its_hosted_pictures_along(api: httpx.Client) -> None:
    body = {"image": base64.b64encode(IMAGE).decode()}
    task = api.post("/async/v2/densenet_predict", json=body).json()
    done(api, task)
    (url,) = api.get(task["result_url"]).json()["image_urls"]
    assert api.get(url).status_code == 200
    assert api.delete(task["status_url"]).status_code == 204
    assert api.get(task["status_url"]).status_code == 404
    assert api.get(url).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/async/densenet_predict", {"files": {"file": IMAGE}, "data": {"heatmaps": "Mass,Gout"}}),
        ("/async/batch", {"files": [("files", IMAGE)] * 2, "data": {"heatmaps": "Gout"}}),
        (
            "/async/v2/densenet_predict",
            {"json": {"image": base64.b64encode(IMAGE).decode(), "heatmaps": ["Gout"]}},
        ),
    ],
)
def test_a_label_that_the_model_does_not_have_is_refused_before_there_is_a_task(
    path: str, body: dict[str, Any], api: httpx.Client
) -> None:
    api.get("/health/model").raise_for_status()  # what the model is has been read
    answer = api.post(path, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert "labels out of Edema, Mass" in answer.json()["detail"]
    assert "Gout" not in answer.text


def test_a_label_is_accepted_unseen_while_nobody_knows_the_model(idle: httpx.Client) -> None:
    task = submit(idle, heatmaps="Gout")
    assert idle.delete(task["status_url"]).status_code == 204


@pytest.mark.parametrize(
    ("upload", "fields", "status"),
    [
        pytest.param(b"no image", {}, 400, id="no image"),
        pytest.param(
            png(np.zeros((16_384, 2048), np.uint8)),
            {"format": "webp", "max_size": "original"},
            422,
            id="longer than WebP can hold",
        ),
    ],
)
def test_a_failed_task_answers_the_error_of_the_synchronous_call(
    upload: bytes, fields: dict[str, str], status: int, api: httpx.Client
) -> None:
    task = submit(api, upload, **fields)
    shown = done(api, task)
    later = api.get(task["result_url"])
    now = api.post("/densenet_predict", files={"file": upload}, data=fields)
    assert later.status_code == now.status_code == status
    differs = {"request_id": ""}
    assert later.json() | differs == now.json() | differs
    assert (shown["code"], shown["error"]) == (now.json()["code"], now.json()["detail"])


def test_events_tell_the_task_until_it_is_done(api: httpx.Client) -> None:
    task = submit(api)
    with api.stream("GET", f"{task['status_url']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert json.loads(lines[-1].removeprefix("data: "))["status"] == "SUCCESS"


def test_whoever_asks_for_the_head_of_events_does_not_wait_for_them(idle: httpx.Client) -> None:
    task = submit(idle)
    answer = idle.head(f"{task['status_url']}/events", timeout=5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert idle.get("/health", timeout=5).status_code == 200
    idle.delete(task["status_url"])


def test_a_server_that_is_to_stop_does_not_wait_for_those_who_listen(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with running_redis(tmp_path / "redis") as redis, running_api(log, REDIS_URL=redis.url) as api:
        task = submit(api)
        with api.stream("GET", f"{task['status_url']}/events") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: task"
            pid = next(each.pid for each in psutil.Process().children() if is_api(each, api))
            os.kill(pid, signal.SIGTERM)
            assert list(lines)[-1] == ""  # the stream ends as streams do
    assert "Traceback" not in log.read_text()


def is_api(process: psutil.Process, api: httpx.Client) -> bool:
    return any(each.laddr.port == api.base_url.port for each in process.net_connections("tcp"))


def test_a_batch_of_files_and_one_of_a_zip_end_alike(api: httpx.Client) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(NAME, IMAGE)
        archive.writestr(f"2{NAME}", b"no image")
    both = [("file", (NAME, IMAGE)), ("file", (NAME, b"no image"))]
    for files in (both, [("file", ("night.zip", buffer.getvalue()))]):
        batch = api.post("/async/batch", files=files)
        assert batch.status_code == 202, batch.text
        assert done(api, batch.json())["counts"] == {"SUCCESS": 1, "FAILURE": 1}
        result = contents(api.get(batch.json()["result_url"]).content)
        assert set(result) == {"0001/report.json", "0001/01_Edema.jpg", "summary.csv"}
        assert b"DOE" not in b"".join(result.values())


def test_where_tasks_are_begins_with_the_path_of_the_address_that_the_operator_set(
    tmp_path: Path,
) -> None:
    public = {"PUBLIC_URL": "https://cxr.example.org/api/"}
    with (
        running_redis(tmp_path / "redis") as redis,
        running_api(tmp_path / "log", REDIS_URL=redis.url, **public) as api,
    ):
        task = submit(api)
        assert task["status_url"] == f"/api/tasks/{task['task_id']}"
        assert task["result_url"] == f"/api/tasks/{task['task_id']}/result"
        answer = api.post("/async/batch", files={"file": IMAGE})
        batch = answer.json()
        assert batch["status_url"] == f"/api/batches/{batch['batch_id']}"
        assert batch["result_url"] == f"/api/batches/{batch['batch_id']}/result"
        assert answer.headers["location"] == batch["status_url"]


def test_health_and_metrics_show_the_queue(api: httpx.Client) -> None:
    for path in ("/health/workers", "/health/celery"):
        answer = api.get(path)
        assert (answer.status_code, answer.json()["workers"]) == (200, 1)
    assert api.get("/health/redis").status_code == 200
    metrics = api.get("/metrics").text
    assert "cxr_redis_up 1.0" in metrics
    assert "cxr_workers 1.0" in metrics


def test_a_waiting_task_has_a_place_and_can_be_cancelled(idle: httpx.Client) -> None:
    first, second = submit(idle), submit(idle)
    assert [idle.get(each["status_url"]).json()["position"] for each in (first, second)] == [1, 2]
    unready = idle.get(second["result_url"])
    assert (unready.status_code, unready.json()["status"]) == (202, "PENDING")
    assert unready.headers["retry-after"]
    assert idle.delete(first["status_url"]).status_code == 204
    assert idle.get(second["status_url"]).json()["position"] == 1
    assert idle.get(first["status_url"]).json()["code"] == "task_not_found"
    assert idle.delete(first["status_url"]).status_code == 404
    idle.delete(second["status_url"])


def test_a_full_queue_says_when_to_come_again(idle: httpx.Client) -> None:
    tasks = [submit(idle) for _ in range(3)]
    answer = idle.post("/async/densenet_predict", files={"file": IMAGE})
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
    assert int(answer.headers["retry-after"]) > 0
    for task in tasks:
        idle.delete(task["status_url"])


def test_an_idempotency_key_makes_a_repetition_the_same_task(idle: httpx.Client) -> None:
    headers = {"Idempotency-Key": "0001"}

    def post(upload: bytes) -> httpx.Response:
        return idle.post("/async/densenet_predict", files={"file": upload}, headers=headers)

    first, again = post(IMAGE), post(IMAGE)
    assert first.json()["task_id"] == again.json()["task_id"]
    other = post(b"another image")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    batch = idle.post("/async/batch", files={"file": IMAGE}, headers=headers)
    assert (batch.status_code, batch.json()["code"]) == (409, "idempotency_conflict")
    idle.delete(first.json()["status_url"])
    long = {"Idempotency-Key": "x" * 256}
    refused = idle.post("/async/densenet_predict", files={"file": IMAGE}, headers=long)
    assert refused.json()["code"] == "invalid_parameter"


def test_no_worker_is_told_apart_from_no_redis(idle: httpx.Client) -> None:
    answer = idle.get("/health/workers")
    assert (answer.status_code, answer.json()["code"]) == (503, "workers_away")
    assert idle.get("/health/redis").status_code == 200


@pytest.mark.parametrize(
    "path", ["/tasks/{}", "/tasks/{}/result", "/tasks/{}/events", "/batches/{}"]
)
@pytest.mark.parametrize("name", ["0f8fad5b-d9cb-469f-a165-70867728950e", "1", "%00", "DOE"])
def test_unknown_tasks_are_not_found(idle: httpx.Client, path: str, name: str) -> None:
    answer = idle.get(path.format(name))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("files", "code", "detail"),
    [
        ([], "unsupported_media_type", "expected multipart/form-data"),
        ([("file", IMAGE)] * 3, "too_many_files", "expected at most 2 files"),
        ([("file", b"PK\x03\x04 damaged")], "malformed_body", "expected a ZIP of images"),
        ([("file", IMAGE), ("file", b"PK\x03\x04")], "malformed_body", "image 2: expected images"),
        ([("file", b"PK\x05\x06" + bytes(18))], "missing_file", "expected images as files"),
        (
            [("file", IMAGE), ("file", bytes(100_001))],
            "too_many_bytes",
            "image 2: expected at most 100000 bytes",
        ),
    ],
)
def test_bad_batches_are_refused_whole(
    idle: httpx.Client, files: Any, code: str, detail: str
) -> None:
    answer = idle.post("/async/batch", files=files).json()
    assert (answer["code"], answer["detail"].startswith(detail)) == (code, True)
    assert idle.get("/health/workers").json()["detail"].count("0 tasks wait") == 1


def test_a_form_of_a_batch_that_is_none_is_not_told_to_hold_one_file(idle: httpx.Client) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = idle.post("/async/batch", content=b"junk", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")
    assert answer.json()["detail"].startswith("expected a multipart form with files: ")


@pytest.mark.parametrize("text", [NAME, NAME * 100_000], ids=["short", "longer than a text may be"])
def test_text_in_the_place_of_an_image_is_refused_by_its_place(
    idle: httpx.Client, text: str
) -> None:
    files: Any = [("file", IMAGE), ("file", (None, text)), ("file", IMAGE)]
    answer = idle.post("/async/batch", files=files)
    assert (answer.status_code, answer.json()["code"]) == (422, "missing_file")
    assert answer.json()["detail"].startswith("image 2: expected the image as a file")
    assert "DOE" not in answer.text


def test_a_callback_is_refused_unless_the_operator_allows_hosts(idle: httpx.Client) -> None:
    body = {"image": base64.b64encode(IMAGE).decode(), "callback_url": "https://example.com"}
    spellings = [
        json.dumps(body).encode(),
        json.dumps(body).encode("utf-16"),
        json.dumps(body).replace("callback_url", r"callback\u005furl").encode(),
    ]
    for content in spellings:
        answer = idle.post("/async/v2/densenet_predict", content=content, headers=AS_JSON)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


def test_the_client_queues_a_folder_and_writes_what_it_would_have_written(
    api: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}{NAME}").write_bytes(IMAGE)
    (tmp_path / "in" / "bad.png").write_bytes(b"no image")
    (tmp_path / "in" / "large.png").write_bytes(bytes(1_000_001))
    (tmp_path / "in" / "night.png").write_bytes(b"PK\x03\x04")
    command = [*CXR, "predict", "--async", "--server", str(api.base_url), str(tmp_path / "in")]
    ran = subprocess.run(
        [*command, "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert "bad.png: expected PNG" in ran.stderr
    assert "large.png: status 413: image 1: expected at most 1000000 bytes" in ran.stderr
    assert "night.png: expected an image, got a ZIP" in ran.stderr
    assert "3 of 6 images analysed" in ran.stdout
    lines = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert len(lines) == 4
    assert len(list((tmp_path / "out").glob("*/report.json"))) == 3


@pytest.mark.slow
def test_five_hundred_at_once_are_all_done_and_counted_once(api: httpx.Client) -> None:
    before = api.get("/stats/diseases/summary").json()["analyses"]

    def one(_: int) -> Any:
        return submit(api, heatmaps="none")

    with ThreadPoolExecutor(50) as pool:
        tasks = list(pool.map(one, range(500)))
    assert len({task["task_id"] for task in tasks}) == 500
    eventually(lambda: api.get("/health/workers").json()["waiting"] == 0, seconds=120)
    assert {done(api, task)["status"] for task in tasks} == {"SUCCESS"}
    assert api.get("/stats/diseases/summary").json()["analyses"] - before == 500
