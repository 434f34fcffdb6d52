import os
import pickle
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.dashboard import create_dashboard
from orchestrator.jobs import keys
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_ledger, create_submitter
from orchestrator.redis_client import connect
from orchestrator.settings import Settings, SettingsError
from orchestrator.study import Options
from tests.support.images import gradient, png
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.workers import CXR, Service

ROOT = Path(__file__).parents[2]
WRITES = [
    ("POST", "/job/{}/requeue"),
    ("POST", "/job/{}/delete"),
    ("POST", "/queue/prediction_tasks/failed/empty"),
    ("POST", "/queue/prediction_tasks/compact"),
    ("POST", "/requeue/prediction_tasks"),
    ("GET", "/requeue/prediction_tasks"),
]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def environment(redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    return {"REDIS_URL": redis_server.url, "DATA_DIR": str(tmp_path), "JOB_RETRIES": "1"}


@contextmanager
def running(environment: dict[str, str], log: Path, **more: str) -> Iterator[httpx.Client]:
    """Run the dashboard as a process, and yield a client of it."""
    port = free_port()
    service = Service(
        [*CXR, "dashboard"], {**environment, "DASHBOARD_PORT": str(port), **more}, log
    )
    service.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            wait_until_listening(client, log)
            yield client
    finally:
        # By a handler of its own, as the first process of a container needs
        assert service.stop() == 0


def wait_until_listening(client: httpx.Client, log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            client.get("/")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


@pytest.fixture
def reading(environment: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    with running(environment, tmp_path / "log") as client:
        yield client


def work(environment: dict[str, str], **more: str) -> None:
    command = [sys.executable, "-m", "tests.support.fake_worker"]
    variables = {**os.environ, **environment, **more}
    subprocess.run(command, env=variables, cwd=ROOT, check=True, timeout=60, capture_output=True)


def failed_task(environment: dict[str, str]) -> str:
    """Return a task that failed because the model was away until no try was left."""
    settings = Settings.from_mapping(environment)
    client = connect(settings.redis_url)
    upload = png(gradient(64, 64))
    task_id = create_submitter(settings, client).submit(Submission([upload], Options())).identifier
    work(environment, FAKE_MODEL="away")
    time.sleep(2)
    create_ledger(settings, client).care()
    work(environment, FAKE_MODEL="away")
    return task_id


def test_an_operator_reads_what_failed_and_why_and_changes_nothing(
    reading: httpx.Client, environment: dict[str, str]
) -> None:
    task_id = failed_task(environment)
    shown: Any = reading.get(f"/0/data/job/{task_id}.json").json()
    assert shown["status"] == "failed"
    assert shown["description"] == "Analysis of one radiograph (ZIP)"
    assert shown["exc_info"] == "model_unavailable: the fake model is away"
    for path in ("/", "/0/view/workers", f"/0/view/job/{task_id}", "/0/data/queues.json"):
        assert reading.get(path).status_code == 200
    for method, path in WRITES:
        assert reading.request(method, path.format(task_id)).status_code in (403, 405)
    with connect(environment["REDIS_URL"]) as client:
        assert client.llen(keys.RQ_QUEUE) == 0
        assert client.zcard(keys.RQ_FAILED) == 1


def test_a_site_that_took_the_name_of_loopback_reads_nothing(reading: httpx.Client) -> None:
    for host in ("evil.example:5555", "evil.example", "127.0.0.1.evil.example", "[", ""):
        assert reading.get("/", headers={"Host": host}).status_code in (400, 403)
    for host in ("localhost:5555", "127.0.0.1", "[::1]:5555"):
        assert reading.get("/", headers={"Host": host}).status_code == 200


def test_its_pages_are_served_with_their_styles_and_scripts(reading: httpx.Client) -> None:
    page = reading.get("/").text
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(files) > 6
    assert {reading.get(file).status_code for file in files} == {200}


def test_no_answer_is_shown_in_a_frame_or_taken_for_another_kind(reading: httpx.Client) -> None:
    style = re.findall(r'href="(/static/[^"]+css)"', reading.get("/").text)[0]
    answers = [
        reading.get("/"),
        reading.get("/0/data/queues.json"),
        reading.get(style),
        reading.get("/nowhere"),
        reading.post("/job/1/delete"),
        reading.get("/", headers={"Host": "evil.example"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 403, 403]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")


def test_a_pickle_in_a_job_is_not_loaded(
    reading: httpx.Client, environment: dict[str, str], tmp_path: Path
) -> None:
    marker = tmp_path / "owned"

    class Exploit:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {marker}",)

    settings = Settings.from_mapping(environment)
    client = connect(settings.redis_url)
    task_id = create_submitter(settings, client).submit(Submission([b"x"], Options())).identifier
    for field in ("result", "meta", "data"):
        client.hset(keys.job_key(task_id), field, pickle.dumps(Exploit()))
    reading.get(f"/0/view/job/{task_id}")
    reading.get(f"/0/data/job/{task_id}.json")
    reading.get("/0/data/jobs/prediction_tasks/queued/8/asc/1.json")
    assert not marker.exists()
    client.flushall()


def test_a_requeued_task_is_done_once(environment: dict[str, str], tmp_path: Path) -> None:
    task_id = failed_task(environment)
    with running(environment, tmp_path / "log", DASHBOARD_WRITE="yes") as client:
        foreign = {"Origin": "https://elsewhere.example"}
        path = f"/job/{task_id}/requeue"
        assert client.post(path, headers=foreign).status_code == 403
        assert client.post(path).json() == {"status": "OK"}
        work(environment)
        settings = Settings.from_mapping(environment)
        task = create_ledger(settings, connect(settings.redis_url)).find(task_id)
        assert task is not None
        assert (task.status, task.attempts) == ("SUCCESS", 3)
        work(environment)
        shown = client.get(f"/0/data/job/{task_id}.json").json()
        assert shown["status"] == "finished"
        assert client.post(path).status_code == 500  # it is no longer among the failed


def test_a_password_is_asked_for(environment: dict[str, str], tmp_path: Path) -> None:
    with running(environment, tmp_path / "log", DASHBOARD_PASSWORD="correct") as client:
        assert client.get("/").status_code == 401
        assert client.get("/", auth=("admin", "wrong")).status_code == 401
        assert client.get("/", auth=("admin", "correct")).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.org"])
def test_without_a_password_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^DASHBOARD_PASSWORD: "):
        create_dashboard(Settings.from_mapping({"DASHBOARD_HOST": host}))


def test_a_port_that_is_taken_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        log = tmp_path / "log"
        port = str(taken.getsockname()[1])
        service = Service([*CXR, "dashboard"], {**environment, "DASHBOARD_PORT": port}, log)
        service.start()
        assert service.running.wait(30) == 1
    told = "DASHBOARD_HOST, DASHBOARD_PORT: expected an address of this machine"
    assert told in log.read_text()
