"""The audit trail as the API writes and answers it."""

import csv
import io
import json
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.access.browsers import Site
from orchestrator.access.keyring import open_keyring
from orchestrator.audit.trail import PATIENCE_SECONDS, AuditReader, AuditWriter, Retention
from orchestrator.middleware.auditor import AuditMiddleware
from orchestrator.middleware.guard import GuardMiddleware
from orchestrator.problems import handlers
from orchestrator.redis_client import connect_async
from orchestrator.settings import Settings
from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.keys import ADMIN, API_KEYS, PREDICT, READ, bearer
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis
from tests.support.waiting import eventually

IMAGE = png(gradient(64, 64))
NAME = "DOE^JANE"
KEYS = Settings.from_mapping({"API_KEYS": API_KEYS})
READS = 100  # more than it takes to wait for the trail
UNKNOWN = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "log"


@pytest.fixture(scope="module")
def api(redis: RedisServer, log: Path) -> Iterator[httpx.Client]:
    with serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "REDIS_URL": redis.url,
            "API_KEYS": API_KEYS,
            "RATE_LIMIT": "50/day",
            "RATE_LIMIT_READ": f"{READS}/day",
        }
        with running_api(log, **settings) as client:
            yield client


@pytest.fixture(autouse=True)
def _empty(redis: RedisServer) -> None:
    with redis.client() as client:
        client.flushall()


def trail(api: httpx.Client, least: int, **query: str) -> list[Any]:
    """Return the trail but for looks at it, once it has as many entries: they are added after the answer."""
    until = time.monotonic() + 10
    while True:
        answer = api.get("/audit", params=query, headers=bearer(ADMIN))
        assert answer.status_code == 200, answer.text
        found = [each for each in answer.json()["entries"] if each["action"] != "get_audit"]
        if len(found) >= least:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.05)


def told(entries: list[Any]) -> list[tuple[Any, ...]]:
    names = ("caller", "action", "outcome", "status")
    return [tuple(each.get(name) for name in names) for each in entries]


def test_the_trail_says_who_did_what_and_what_came_of_it(api: httpx.Client) -> None:
    """One after the other: entries are added after the answer, each on a connection of its own to Redis."""
    own = bearer(PREDICT)
    image = {"file": (NAME, IMAGE)}
    made = api.post("/densenet_predict", files=image, headers=own)
    trail(api, 1)
    api.post("/densenet_predict", files={"file": b"no image"}, headers=own)
    trail(api, 2)
    task = api.post("/async/densenet_predict", files=image, headers=own).json()["task_id"]
    trail(api, 3)
    batch = api.post("/async/batch", files=image, headers=own).json()["batch_id"]
    trail(api, 4)
    api.get(f"/tasks/{task}", headers=own)  # a look at how it stands is nothing of the patient's
    api.get(f"/tasks/{task}/result", headers=bearer(READ))
    trail(api, 5)
    api.delete(f"/tasks/{task}", headers=own)
    trail(api, 6)
    api.delete(f"/tasks/{NAME}", headers=own)
    trail(api, 7)
    api.delete(f"/tasks/{UNKNOWN}", headers=own)
    trail(api, 8)
    api.post("/densenet_predict", files=image, headers=bearer(READ))
    trail(api, 9)
    api.get("/metrics", headers=own)
    trail(api, 10)
    for key in ("", "wrong"):
        api.post("/densenet_predict", files=image, headers=bearer(key) if key else {})
    found = trail(api, 10)
    assert told(found) == [
        ("predict-only", "post_densenet_predict", "ok", 200),
        ("predict-only", "post_densenet_predict", "not_an_image", 400),
        ("predict-only", "post_async_densenet_predict", "ok", 202),
        ("predict-only", "post_async_batch", "ok", 202),
        ("read-only", "get_tasks_task_id_result", "ok", 202),
        ("predict-only", "delete_tasks_task_id", "ok", 204),
        ("predict-only", "delete_tasks_task_id", "task_not_found", 404),
        ("predict-only", "delete_tasks_task_id", "task_not_found", 404),
        ("read-only", "post_densenet_predict", "insufficient_scope", 403),
        ("predict-only", "get_metrics", "insufficient_scope", 403),
    ]
    subjects = [
        {name: each[name] for name in ("task_id", "batch_id", "analysis_id") if name in each}
        for each in found
    ]
    analysis = subjects[0].pop("analysis_id")
    assert analysis in json.dumps(report(made))
    assert subjects == [
        *({}, {}),
        {"task_id": task},
        {"batch_id": batch},
        *({"task_id": task}, {"task_id": task}),
        *({}, {"task_id": UNKNOWN}, {}, {}),
    ]
    assert found[0]["request_id"] == made.headers["x-request-id"]
    assert "DOE" not in json.dumps(found)


def report(answer: httpx.Response) -> Any:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return json.loads(archive.read("report.json"))


def test_the_trail_is_read_page_by_page_as_json_or_csv(api: httpx.Client) -> None:
    for _ in range(5):
        api.delete(f"/tasks/{UNKNOWN}", headers=bearer(PREDICT))
    whole = trail(api, 5)
    first = api.get("/audit", params={"count": 2}, headers=bearer(ADMIN)).json()
    assert [each["id"] for each in first["entries"]] == [each["id"] for each in whole[:2]]
    assert first["next"] == whole[1]["id"]
    rest = api.get("/audit", params={"after": first["next"]}, headers=bearer(ADMIN)).json()
    assert [each["id"] for each in rest["entries"]][:3] == [each["id"] for each in whole[2:]]
    assert rest["next"] is None
    table = api.get("/audit", params={"format": "csv", "count": 5}, headers=bearer(ADMIN))
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == [each["id"] for each in whole]
    assert rows[0]["task_id"] == UNKNOWN
    for wrong in ({"after": NAME}, {"count": "0"}, {"format": "pdf"}, {"caller": "a"}):
        answer = api.get("/audit", params=wrong, headers=bearer(ADMIN))
        assert answer.json()["code"] == "invalid_parameter"


def appended(redis: RedisServer, entries: list[dict[str, str]], kept: int = 60) -> None:
    async def append() -> None:
        pool = connect_async(redis.url, 10)
        writer = AuditWriter(pool, Retention(kept, 10_000))
        for entry in entries:
            await writer.append(entry)
        await pool.aclose()

    anyio.run(append)


def stored(redis: RedisServer, entries: list[dict[str, str]]) -> tuple[list[Any], float]:
    """Add entries, and return what is answered of each and the bytes that one takes."""
    appended(redis, entries)
    with redis.client() as client:
        found = AuditReader(client, 60).read(None, 10_000)["entries"]
        kept = client.memory_usage("cxr:audit", samples=0)
    shown = [
        {name: str(value) for name, value in each.items() if name not in ("id", "time")}
        for each in found
    ]
    assert kept is not None
    return shown, kept / len(entries)


def test_entries_are_answered_as_they_came_and_kept_in_few_bytes(redis: RedisServer) -> None:
    plain = {"caller": "ward7", "action": "post_densenet_predict", "outcome": "ok", "status": "200"}
    made = [str(uuid.UUID(int=number << 90 | number)) for number in range(1, 1001)]
    entries = [{**plain, "analysis_id": each, "request_id": each} for each in made]
    shown, each = stored(redis, entries)
    assert shown == entries
    assert each < 50  # 32 of them are the identifiers


def test_entries_that_differ_are_answered_as_they_came(redis: RedisServer) -> None:
    plain = {"caller": "", "action": "post_densenet_predict", "outcome": "ok", "status": "200"}
    task = {"caller": "ward7", "action": "delete_tasks_task_id", "outcome": "ok", "status": "204"}
    made = [str(uuid.UUID(int=number << 90 | number)) for number in range(1, 1001)]
    entries = [
        {**plain, "analysis_id": each, "request_id": each}
        if number % 2
        else {**task, "task_id": each, "request_id": each}
        for number, each in enumerate(made)
    ]
    sent = ["0123456789ABCDEF0123456789abcdef", UNKNOWN.upper(), "", UNKNOWN]
    entries += [{**plain, "batch_id": UNKNOWN, "request_id": each} for each in sent]
    shown, each = stored(redis, entries)
    assert shown == [
        {name: value for name, value in entry.items() if value or name == "caller"}
        for entry in entries
    ]
    assert each < 90


def test_entries_go_when_they_are_old_by_the_clock_of_redis(redis: RedisServer) -> None:
    entry = {"caller": "ward7", "action": "get_audit", "outcome": "ok", "status": "200"}
    with redis.client() as client:
        for number in range(1000):
            client.xadd("cxr:audit", {**entry}, id=f"{number + 1}-0")  # of 1970
    appended(redis, [entry] * 300)
    with redis.client() as client:
        assert client.xlen("cxr:audit") == 300
    in_a_year = time.time() + 365 * 86_400
    with patch("time.time", return_value=in_a_year):  # an API whose clock is ahead
        appended(redis, [entry] * 2)
    with redis.client() as client:
        assert client.xlen("cxr:audit") == 302
        assert 60 < client.ttl("cxr:audit") <= 70


def aged(redis: RedisServer, ages: list[int]) -> list[str]:
    """Add entries that are so many seconds old by the clock of Redis; return their identifiers."""
    with redis.client() as client:
        now = int(client.time()[0])
        names = [f"{(now - age) * 1000}-1" for age in ages]
        for name in names:
            client.xadd("cxr:audit", {"ward7\tget_audit\tok\t200\t\t\t\t": ""}, id=name)
    return names


def test_entries_of_a_quiet_site_go_when_they_are_old(redis: RedisServer) -> None:
    names = aged(redis, list(range(6000, 0, -100)))  # too few for Redis to drop them by the hundred
    assert len(names) == 60
    entry = {"caller": "ward7", "action": "get_audit", "outcome": "ok", "status": "200"}
    appended(redis, [entry], kept=550)
    with redis.client() as client:
        left = [identifier.decode() for identifier, _ in client.xrange("cxr:audit")]
    assert left[:-1] == names[-5:]


def test_entries_that_are_old_by_the_clock_of_redis_are_not_answered(redis: RedisServer) -> None:
    names = aged(redis, [500, 400, 300, 200, 100])
    in_a_year = time.time() + 365 * 86_400
    with redis.client() as client, patch("time.time", return_value=in_a_year):
        reader = AuditReader(client, 350)

        def read(after: str | None, count: int) -> tuple[list[str], str | None]:
            answer = reader.read(after, count)
            return [each["id"] for each in answer["entries"]], answer["next"]

        assert read(None, 10) == (names[2:], None)
        assert read(None, 2) == (names[2:4], names[3])
        assert read(names[3], 2) == (names[4:], None)
        assert read(names[0], 1) == (names[2:3], names[2])  # where somebody was a while ago
        assert read(names[4], 1) == ([], None)
        assert AuditReader(client, 50).read(None, 1) == {"entries": [], "next": None}


def test_looks_at_the_trail_are_in_it_and_only_admins_have_them(api: httpx.Client) -> None:
    assert api.get("/audit", headers=bearer(READ)).status_code == 403
    trail(api, 0)
    found = told(api.get("/audit", headers=bearer(ADMIN)).json()["entries"])
    assert ("admin-only", "get_audit", "ok", 200) in found


def test_nobody_can_push_the_trail_out_by_being_refused(
    api: httpx.Client, redis: RedisServer
) -> None:
    for _ in range(60):
        api.post("/v2/densenet_predict", headers=bearer(ADMIN))
    with redis.client() as client:
        assert client.xlen("cxr:audit") <= 50
        assert [key for key in client.scan_iter() if client.ttl(key) < 0] == []


def test_what_is_refused_is_in_the_trail_only_up_to_the_limit_and_without_free_text(
    api: httpx.Client,
) -> None:
    for method in ("DOE-JANE", "POST"):
        assert api.request(method, "/static/page/page.css", headers=bearer(READ)).status_code == 405
    for _ in range(READS + 5):
        answer = api.post("/densenet_predict", headers=bearer(READ))
    assert answer.status_code == 429
    found = told(trail(api, 1))
    assert set(found) == {("read-only", "post_densenet_predict", "insufficient_scope", 403)}
    assert len(found) <= READS


def test_a_caller_that_goes_away_while_it_sends_is_not_fine(api: httpx.Client) -> None:
    head = (
        f"POST /v2/densenet_predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {PREDICT}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    address = (api.base_url.host, api.base_url.port or 0)
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(head.encode())
    assert told(trail(api, 1)) == [
        ("predict-only", "post_v2_densenet_predict", "client_closed", 499)
    ]


def test_an_entry_waits_for_a_redis_that_stands_still_for_a_moment(
    api: httpx.Client, redis: RedisServer
) -> None:
    with redis.hanging():
        answer = api.post("/v2/densenet_predict", headers=bearer(PREDICT))
        time.sleep(1)
    found = told(trail(api, 1))
    assert found == [
        ("predict-only", "post_v2_densenet_predict", answer.json()["code"], answer.status_code)
    ]
    assert "cxr_audit_missed_total 0.0" in api.get("/metrics", headers=bearer(ADMIN)).text


def test_as_many_entries_wait_as_there_are_connections_and_others_are_in_the_log(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {"caller": "ward7", "action": "get_audit", "outcome": "ok", "status": "200"}

    async def append() -> None:
        pool = connect_async(redis.url, 3, PATIENCE_SECONDS)
        writer = AuditWriter(pool, Retention(60, 10_000))
        async with anyio.create_task_group() as group:
            with redis.hanging():
                for _ in range(10):
                    group.start_soon(writer.append, entry)
                await anyio.sleep(0.5)
                assert len(caplog.records) >= 7
        await pool.aclose()

    anyio.run(append)
    missed = [each for each in caplog.records if each.getMessage() == "audit entry not kept"]
    with redis.client() as client:
        assert client.xlen("cxr:audit") == 3
    assert len(missed) == 7


def test_a_defect_is_in_the_trail_as_what_it_is_answered_with(redis: RedisServer) -> None:
    async def broken(_: Request) -> Response:
        raise ZeroDivisionError

    async def ask() -> int:
        pool = connect_async(redis.url, 10)
        app = Starlette(
            routes=[Route("/densenet_predict", broken, methods=["POST"])],
            middleware=[
                Middleware(AuditMiddleware, writer=AuditWriter(pool, Retention(60, 1000))),
                Middleware(GuardMiddleware, keyring=open_keyring(KEYS), site=Site(), others=None),
            ],
            exception_handlers=handlers(https=False),
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.post("/densenet_predict", headers=bearer(PREDICT))
        await pool.aclose()
        return answer.status_code

    assert anyio.run(ask) == 500
    with redis.client() as client:
        entries = AuditReader(client, 60).read(None, 10)["entries"]
    assert told(entries) == [("predict-only", "post_densenet_predict", "internal_error", 500)]


def test_without_redis_entries_are_in_the_log_and_images_are_analysed(tmp_path: Path) -> None:
    with serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "LOG_LEVEL": "error",
        }
        with running_api(tmp_path / "log", **settings) as client:
            for _ in range(2):
                assert client.post("/densenet_predict", files={"file": IMAGE}).status_code == 200
            eventually(lambda: "cxr_audit_missed_total 2.0" in client.get("/metrics").text)
            assert client.get("/audit").json()["code"] == "redis_unavailable"
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    kept = [line["audit"] for line in lines if line["message"] == "audit entry not kept"]
    assert [each["action"] for each in kept[:2]] == ["post_densenet_predict"] * 2
    assert kept[0]["analysis_id"] != kept[1]["analysis_id"]


def test_the_trail_can_be_off(tmp_path: Path) -> None:
    with running_api(tmp_path / "log", AUDIT_RETENTION_DAYS="0") as client:
        assert client.get("/audit").status_code == 404
