"""Marked patient data and keys go in everywhere; nothing that the service writes or answers has them."""

import base64
import io
import json
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from PIL import Image

from tests.support.api import wait_until_answered
from tests.support.keys import ADMIN, API_KEYS, PREDICT, READ, bearer
from tests.support.leaks import Marks
from tests.support.marked_images import broken_images, marked_images, marked_zip
from tests.support.ports import free_port
from tests.support.workers import CXR, Service, Stack, running_stack

IMAGE_KEYS = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "loop", "background"}
WRONG_KEYS = {name: f"cxr_wrong{name}AAAABBBBCCCCDDDD" for name in ("bearer", "header", "basic")}


class Visit:
    """Ask the service as careless callers do, and keep every answer.

    Attributes:
        marks: What was put in.
        answers: All of each answer (status line, headers, body), and the places whose marks it may repeat: a refused
            parameter, to whoever has sent it.
        pictures: The overlays among them.
    """

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.marks = Marks()
        self.answers: list[tuple[str, bytes, set[str]]] = []
        self.pictures: list[bytes] = []

    def ask(self, method: str, path: str, may_repeat: str = "", **request: Any) -> httpx.Response:
        """Send a request whose headers, query and path are marked."""
        mark = self.marks
        headers = {
            "User-Agent": mark("User-Agent"),
            "X-Request-ID": mark("X-Request-ID"),
            "Referer": f"https://ris.example/{mark('Referer')}",
            "Cookie": f"patient={mark('Cookie')}",
            "X-Patient": mark("header of its own"),
            "Accept-Language": mark("Accept-Language"),
            "traceparent": mark("traceparent"),
            "tracestate": f"a={mark('tracestate')}",
            **request.pop("headers", {}),
        }
        query = {mark("query parameter"): mark("value in a query"), **request.pop("params", {})}
        answer = self.client.request(method, path, headers=headers, params=query, **request)
        self.keep(f"{method} {path.partition('/Zz')[0]}", answer, may_repeat)
        return answer

    def keep(self, name: str, answer: httpx.Response, may_repeat: str = "") -> None:
        """Keep an answer to be searched."""
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
        whole = f"{answer.status_code} {answer.reason_phrase}\n{head}\n".encode() + answer.content
        self.answers.append((f"{name} → {answer.status_code}", whole, {may_repeat} - {""}))
        if answer.headers.get("content-type") == "application/zip":
            self.answers.append((f"{name}, its ZIP", answer.content, set()))
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                assert archive.comment == b""
                assert not any(each.comment or each.extra for each in archive.infolist())
                self.pictures += [
                    archive.read(each) for each in archive.namelist() if ".jpg" in each
                ]
        elif answer.headers.get("content-type") == "image/jpeg":
            self.pictures.append(answer.content)

    def form(self, name: str, content: bytes) -> dict[str, Any]:
        """Return a form with an image under marked names."""
        mark = self.marks
        kind = f"image/png; name={mark('content type of a part')}"
        return {
            "files": {"file": (f"{mark('file name')}.{name}", content, kind)},
            "data": {mark("field of a form"): mark("value in a form"), "heatmaps": "all"},
        }

    def json(self, content: bytes) -> dict[str, Any]:
        """Return a JSON body with an image and marked fields."""
        mark = self.marks
        prefix = f"data:image/png;name={mark('data URL')};base64,"
        body = {
            "image": prefix + base64.b64encode(content).decode(),
            mark("field of JSON"): mark("value in JSON"),
            "heatmaps": "all",
            "patient": {"name": [mark("value deep in JSON")]},
        }
        return {"json": body}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("privacy")


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[Stack]:
    """Run everything, with keys, and with logs that tell as much as they can."""
    from export.servable import export_model
    from tests.support.tiny_models import PLANTED_LABELS, planted_model

    export_model(planted_model(), folder / "densenet", labels=PLANTED_LABELS, preprocess="rescale")
    settings = {"API_KEYS": API_KEYS, "LOG_LEVEL": "debug", "CALLBACK_SECRET": "s" * 32}
    settings |= {"CALLBACK_HOSTS": "127.0.0.1:9", "RATE_LIMIT": "10000/minute"}
    with running_stack(folder, folder / "densenet", workers=0, **settings) as running:
        running.client.headers.update(bearer(ADMIN))
        yield running


@pytest.fixture(scope="module")
def worker_port(stack: Stack, folder: Path) -> Iterator[int]:
    """Run a worker that answers figures, and return where."""
    port = free_port()
    environment = {**stack.api.environment, "METRICS_PORT": str(port)}
    worker = Service([*CXR, "worker"], environment, folder / "worker.log")
    worker.start()
    try:
        wait_until_answered(stack.client, "/health/workers", worker.running)
        yield port
    finally:
        worker.kill()


@pytest.fixture(scope="module")
def dashboard(stack: Stack, folder: Path) -> Iterator[httpx.Client]:
    """Run the dashboard."""
    port = free_port()
    environment = {**stack.api.environment, "DASHBOARD_PORT": str(port)}
    service = Service([*CXR, "dashboard"], environment, folder / "dashboard.log")
    service.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            wait_until_answered(client, "/", service.running)
            yield client
    finally:
        service.kill()


@pytest.fixture(scope="module")
def visit(stack: Stack, worker_port: int, dashboard: httpx.Client, folder: Path) -> Visit:
    """Send marked data along every way in, wait for all of it to be done, and fetch all that can be fetched."""
    found = Visit(stack.client)
    for name, content in marked_images(found.marks).items():
        _send(found, name, content)
    for name, content in broken_images(found.marks).items():
        _send(found, name, content)
    _wrong_parameters(found)
    _wrong_paths(found)
    _wrong_keys(found)
    mark = found.marks
    for path in (
        "/",
        f"/{mark('path of the dashboard')}",
        "/0/view/jobs/prediction_tasks/failed/20/desc/1",
    ):
        query = {"q": mark("query of the dashboard")}
        answer = dashboard.get(path, params=query, headers={"User-Agent": mark("User-Agent")})
        found.keep(f"dashboard {answer.status_code}", answer)
    found.keep("figures of the API", stack.client.get("/metrics"))
    found.keep("figures of the worker", httpx.get(f"http://127.0.0.1:{worker_port}/metrics"))
    for name in ("summary", "weekly", "daily"):
        for accept in ("application/json", "text/csv", "image/svg+xml"):
            path = f"/stats/diseases/{name}"
            found.keep(path, stack.client.get(path, headers={"Accept": accept}))
    return found


def _send(visit: Visit, name: str, content: bytes) -> None:
    """Send one image along all five ways, and follow it to its end."""
    visit.ask("POST", "/densenet_predict", **visit.form(name, content))
    hosted = visit.ask("POST", "/v2/densenet_predict", **visit.json(content))
    for url in hosted.json().get("image_urls", []):
        visit.keep("a picture", visit.client.get(url))
    unlike = {"Idempotency-Key": f"{visit.marks('Idempotency-Key')}-{name}"}
    accepted = [
        visit.ask("POST", "/async/densenet_predict", headers=unlike, **visit.form(name, content)),
        visit.ask("POST", "/async/v2/densenet_predict", **visit.json(content)),
        visit.ask(
            "POST",
            "/async/batch",
            files={"file": (visit.marks("file name"), marked_zip(visit.marks, {name: content}))},
        ),
    ]
    assert [answer.status_code for answer in accepted] == [202, 202, 202], accepted[2].text
    for answer in accepted:
        urls = answer.json()["status_url"], answer.json()["result_url"]
        until = time.monotonic() + 60
        while visit.client.get(urls[0]).json()["status"] not in ("SUCCESS", "FAILURE"):
            assert time.monotonic() < until
            time.sleep(0.05)
        for url in urls:
            result = visit.ask("GET", url)
            if "json" in result.headers["content-type"]:
                for picture in result.json().get("image_urls", []):
                    visit.keep("a picture of a task", visit.client.get(picture))
        if "task_id" in answer.json():
            visit.ask("GET", f"{urls[0]}/events")


def _wrong_parameters(visit: Visit) -> None:
    """Send marks as parameters: whoever sends a wrong one is told which, and nobody else."""
    sound = marked_images(visit.marks)["png"]
    for name in ("heatmaps", "font_size", "format", "max_size", "maps", "callback_url"):
        place = f"parameter {name}"
        for path in ("/densenet_predict", "/async/densenet_predict"):
            form = visit.form("png", sound)
            form["data"][name] = visit.marks(place)
            visit.ask("POST", path, may_repeat=place, **form)
        body = visit.json(sound)
        body["json"][name] = visit.marks(place)
        visit.ask("POST", "/v2/densenet_predict", may_repeat=place, **body)
    for name in ("start", "days", "format", "model", "version"):
        place = f"parameter {name} of a query"
        params = {name: visit.marks(place)}
        answer = visit.client.get("/stats/diseases/daily", params=params)
        visit.keep(f"statistics by {name}", answer, may_repeat=place)
    visit.ask("GET", "/stats/diseases/daily")
    mark = visit.marks
    visit.ask("POST", "/densenet_predict", content=mark("body").encode())
    visit.ask("POST", "/v2/densenet_predict", content=f'{{"image": "{mark("no base64")}!"'.encode())
    visit.ask("POST", "/v2/densenet_predict", json={"image": f"{mark('no base64')}!"})
    for kind in ("multipart/form-data; boundary=", "application/json; a=", "text/"):
        headers = {"Content-Type": kind + mark("Content-Type"), "Accept": mark("Accept")}
        for path in ("/densenet_predict", "/v2/densenet_predict", "/async/batch"):
            visit.ask("POST", path, headers=headers, content=mark("body").encode())
    accept = {"Accept": f"text/{mark('Accept')}"}
    visit.keep("statistics", visit.client.get("/stats/diseases/summary", headers=accept))


def _wrong_paths(visit: Visit) -> None:
    for before in ("", "/tasks", "/batches", "/files", "/static", "/stats/diseases", "/health"):
        for method in ("GET", "POST", "DELETE"):
            visit.ask(method, f"{before}/{visit.marks('path')}")
    visit.ask(visit.marks("method").upper(), "/health")


def _wrong_keys(visit: Visit) -> None:
    """Show wrong keys, right ones where they don't suffice, and right ones with marks beside them."""
    shown: list[Any] = [
        {"headers": bearer(WRONG_KEYS["bearer"])},
        {"headers": {"Authorization": "", "X-API-Key": WRONG_KEYS["header"]}},
        {"auth": (visit.marks("user name"), WRONG_KEYS["basic"])},
        {"auth": (visit.marks("user name"), ADMIN)},
        {"headers": bearer(PREDICT)},
        {"headers": bearer(READ)},
        {"headers": {"Authorization": f"Digest {visit.marks('Authorization')}"}},
    ]
    for request in shown:
        for path in ("/metrics", "/densenet_predict", f"/tasks/{visit.marks('path')}"):
            visit.ask("GET", path, **dict(request))


def searched(visit: Visit, content: bytes) -> set[str]:
    """Return the places whose marks are in a content, and the keys that are."""
    return visit.marks.found_in(content) | {
        name
        for name, key in {**WRONG_KEYS, "admin": ADMIN, "predict": PREDICT, "read": READ}.items()
        for written in (key, base64.b64encode(key.encode()).decode().rstrip("=")[:-2])
        if written.encode() in content
    }


def test_the_search_finds_marks_however_they_are_written() -> None:
    marks = Marks()
    mark = marks("here")
    marks("elsewhere")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", f"{mark} " * 9)
    named = io.BytesIO()
    with zipfile.ZipFile(named, "w") as archive:
        archive.writestr(f"{mark}.txt", "")
    writings: list[bytes | str] = [
        f'{{"message": "refused {mark}"}}',
        mark.upper(),
        mark.encode("utf-16-le"),
        b"\0" + mark.encode("utf-16-be"),
        mark.encode().hex(),
        "".join(f"%{ord(letter):02X}" for letter in mark),
        *(base64.b64encode(b"x" * shift + mark.encode() + b"yz") for shift in range(3)),
        base64.urlsafe_b64encode(mark.encode("utf-16-le") + b"yz"),
        b"head" + zlib.compress(f"{mark} {mark}".encode()),
        zlib.compress(zlib.compress(mark.encode())),
        packed.getvalue(),
        named.getvalue(),
    ]
    for writing in writings:
        assert marks.found_in(writing) == {"here"}, writing
    assert marks.found_in(mark[:-1]) == set()


def test_the_search_finds_every_mark_in_the_files_that_are_sent() -> None:
    marks = Marks()
    images = {**marked_images(marks), **broken_images(marks)}
    found = set().union(*(marks.found_in(content) for content in images.values()))
    assert found == set(marks.places)
    whole = marks.found_in(marked_zip(marks, images))
    assert whole == set(marks.places)
    assert len(whole) > 35


@pytest.mark.tensorflow
@pytest.mark.slow
def test_answers_have_nothing_of_what_came_in(visit: Visit) -> None:
    leaks = [(name, searched(visit, whole) - allowed) for name, whole, allowed in visit.answers]
    assert [(name, found) for name, found in leaks if found] == []
    statuses = {name.rpartition(" ")[2] for name, _ in leaks}
    # They were told what was wrong with what they had sent
    assert any(searched(visit, whole) & allowed for _, whole, allowed in visit.answers)
    assert {"200", "202", "400", "401", "403", "404", "405", "406", "415", "422"} <= statuses


@pytest.mark.tensorflow
@pytest.mark.slow
def test_pictures_have_no_metadata(visit: Visit) -> None:
    for picture in visit.pictures:
        with Image.open(io.BytesIO(picture)) as opened:
            assert set(opened.info) <= IMAGE_KEYS
            assert dict(opened.getexif()) == {}
    assert len(visit.pictures) > 20


@pytest.mark.tensorflow
@pytest.mark.slow
def test_logs_have_nothing_of_what_came_in(visit: Visit, folder: Path) -> None:
    for name in ("api", "worker", "model", "dashboard"):
        content = (folder / f"{name}.log").read_bytes()
        assert searched(visit, content) == set(), name
        if name in ("api", "worker"):  # there was something to be found
            messages = {json.loads(line)["message"] for line in content.splitlines()}
            assert messages & {"request", "job failed"}


@pytest.mark.tensorflow
@pytest.mark.slow
def test_what_outlives_the_uploads_has_nothing_of_what_came_in(
    visit: Visit, stack: Stack, folder: Path
) -> None:
    with stack.redis.client() as client:
        kept = {key: everything(client, key) for key in client.scan_iter()}
    uploads = [key for key in kept if key.startswith(b"cxr:blob:upload-")]
    # Parameters are what a caller wants drawn; they are kept with the task, and end with it.
    parameters = {place for place in visit.marks.places if place.startswith("parameter")}
    for key, content in kept.items():
        found = searched(visit, key + b"\n" + content)
        if key in uploads:  # of tasks that failed: the search does find what is there
            assert found
        else:
            assert found - parameters == set(), key
    assert len(uploads) > 3
    assert any(key.startswith(b"cxr:task:") for key in kept)
    assert any(key.startswith(b"rq:job:") for key in kept)
    files = [path for path in (folder / "data").rglob("*") if path.is_file()]
    for path in files:
        assert searched(visit, str(path).encode() + path.read_bytes()) == set(), path
    assert len(files) > 5


def everything(client: redis.Redis, key: bytes) -> bytes:
    """Return all that lies under a key."""
    read: dict[Any, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"set": client.smembers,
        b"zset": lambda name: client.zrange(name, 0, -1),
        b"stream": client.xrange,
    }
    pieces: list[bytes] = []

    def flatten(value: Any) -> None:
        if isinstance(value, bytes):
            pieces.append(value)
        elif isinstance(value, dict):
            for pair in value.items():
                flatten(pair)
        elif isinstance(value, list | tuple | set):
            for each in value:
                flatten(each)

    flatten(read[client.type(key)](key))
    return b"\n".join(pieces)
