"""The examples of docs/api.md, run as they stand against a running service: its address and identifiers are put in."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from starlette.routing import Route

from gradcam.plan import plan
from gradcam.wording import Wording
from orchestrator.app import create_app
from orchestrator.errors import ServiceError
from orchestrator.jobs.callbacks import signature
from orchestrator.openapi.document import error_text
from orchestrator.settings import Settings
from orchestrator.study import Options
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.workers import running_api_and_worker

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text("utf-8")
ADDRESS = "localhost:5000"
TASK = "0f8fad5b-d9cb-469f-a165-70867728950e"
BATCH = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
LINK = re.compile(r"http://localhost:5000/files/[^\"' ]+")
RUN = {"bash": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-c")}
OURS = "00000000-0000-4000-8000-000000000000"  # marks requests that no example has made
IMAGE = png(gradient(96, 80))


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that the examples send."""
    found = tmp_path_factory.mktemp("documentation")
    for name in ("radiograph.png", "a.png", "b.png"):
        (found / name).write_bytes(IMAGE)
    with zipfile.ZipFile(found / "night.zip", "w") as archive:
        archive.writestr("a.png", IMAGE)
        archive.writestr("b.png", IMAGE)
    (found / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
    return found


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[httpx.Client]:
    """Run API and worker, which log every request."""
    with (
        serving(FakeServer()) as port,
        running_api_and_worker(folder, port, LOG_LEVEL="debug") as client,
    ):
        client.headers["X-Request-ID"] = OURS
        yield client


def with_what_is_there(example: str, client: httpx.Client) -> str:
    """Put the address and real identifiers in the place of those that are printed."""
    if LINK.search(example):
        body = {"image": base64.b64encode(IMAGE).decode()}
        urls = client.post("/v2/densenet_predict", json=body).json()["image_urls"]
        example = LINK.sub(urls[0], example)
    if TASK in example:
        answer = client.post("/async/densenet_predict", files={"file": IMAGE})
        example = example.replace(TASK, finished(client, answer)["task_id"])
    if BATCH in example:
        answer = client.post("/async/batch", files={"file": IMAGE})
        example = example.replace(BATCH, finished(client, answer)["batch_id"])
    return example.replace(ADDRESS, client.base_url.netloc.decode())


def finished(client: httpx.Client, accepted: httpx.Response) -> Any:
    """Wait for a task or a batch."""
    assert accepted.status_code == 202, accepted.text
    url = accepted.json()["status_url"]
    while (found := client.get(url).json())["status"] not in ("SUCCESS", "FAILURE"):
        time.sleep(0.05)
    assert found["status"] == "SUCCESS"
    return found


@pytest.mark.parametrize("language", RUN)
def test_every_example_runs_and_every_operation_has_one(
    language: str, api: httpx.Client, folder: Path
) -> None:
    if shutil.which(RUN[language][0]) is None or (language == "bash" and not shutil.which("curl")):
        pytest.skip("curl and bash are not on this machine")
    environment = {**os.environ, "CURL_HOME": str(folder)}
    log = folder / "api.log"
    begin = log.stat().st_size
    for example in blocks(language):
        runnable = with_what_is_there(example, api)
        done = subprocess.run(
            [*RUN[language], runnable],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
    until = time.monotonic() + 5  # a request is logged once it has been answered
    while (seen := requests_in(log.read_bytes()[begin:])) != every_operation():
        assert time.monotonic() < until, every_operation() ^ seen
        time.sleep(0.1)


def requests_in(log: bytes) -> set[tuple[str, str]]:
    """Return methods and routes of the requests of examples that were answered well."""
    lines = [json.loads(line) for line in io.BytesIO(log) if line.endswith(b"}\n")]
    return {
        (line["method"], line["route"])
        for line in lines
        if line["message"] == "request" and line["status"] < 300 and line["request_id"] != OURS
    }


def every_operation() -> set[tuple[str, str]]:
    return {
        (method, route.path)
        for route in create_app(Settings()).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_answers_that_are_printed_fit_their_schemas() -> None:
    components = create_app(Settings()).state.openapi["components"]
    printed = re.findall(r"^```json (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(printed) >= 5
    for name, text in printed:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        jsonschema.validate(
            json.loads(text),
            schema,
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )


def test_pictures_that_are_printed_have_the_size_that_defaults_give() -> None:
    printed = dict(re.findall(r"^```json (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
    report = json.loads(printed["PackedReport"])
    image, (overlay,) = report["image"], report["overlays"]
    layout = plan(
        (image["width"], image["height"]),
        max_size=Options.max_size,
        font_size=Options.font_size,
        wording=Wording((overlay["label"],), warnings=tuple(report["warnings"])),
    )
    for picture in (overlay, json.loads(printed["HostedPicture"])):
        assert (picture["width"], picture["height"]) == layout.size
        assert picture["radiograph"] == asdict(layout.radiograph)


def test_the_check_that_is_printed_takes_what_the_service_has_just_signed() -> None:
    (example,) = [block for block in blocks("python") if "def is_genuine" in block]
    names: dict[str, Any] = {}
    exec(example, names)
    is_genuine, secret, body = names["is_genuine"], b"secret", b'{"event": "task.done"}'
    now, before = str(int(time.time())), str(int(time.time()) - 310)
    signed = f"t={now},v1={signature(secret, now, body)}"
    assert is_genuine(secret, signed, body) is True
    assert is_genuine(b"another", signed, body) is False
    assert is_genuine(secret, signed, body + b" ") is False
    assert is_genuine(secret, f"t={before},v1={signature(secret, before, body)}", body) is False
    for given in ("", "t=,v1=", f"t={now}", f"t=x,v1={signature(secret, now, body)}", "t=1,v1=ü"):
        assert is_genuine(secret, given, body) is False


def test_the_table_of_errors_is_the_tree_of_errors() -> None:
    table = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)
    bases = {"bad_request", "dependency_unavailable"}
    expected = [
        (str(error.status), error.code, error_text(error))
        for error in tree(ServiceError)
        if error.code not in bases
    ]
    assert table == sorted(expected)


def tree(error: type[ServiceError]) -> list[type[ServiceError]]:
    return [error, *(each for child in error.__subclasses__() for each in tree(child))]
