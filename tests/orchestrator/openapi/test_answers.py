"""What the running service answers is what its description says, and nothing more."""

import base64
import copy
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import jsonschema
import pytest

from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.workers import running_api_and_worker

IMAGE = png(gradient(64, 64))
ENCODED = base64.b64encode(IMAGE).decode()
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run API and worker."""
    folder = tmp_path_factory.mktemp("answers")
    with serving(FakeServer()) as port, running_api_and_worker(folder, port) as client:
        yield client


@pytest.fixture(scope="module")
def document(api: httpx.Client) -> Any:
    return api.get("/openapi.json").json()


@pytest.fixture(scope="module")
def closed(document: Any) -> Any:
    """Return the components, taking no field that they don't name."""
    components = copy.deepcopy(document["components"])
    for schema in components["schemas"].values():
        schema["additionalProperties"] = False
    return components


def check(answer: httpx.Response, operation: Any, closed: Any) -> Any:
    """Validate an answer against what an operation says of its status and media type."""
    described = operation["responses"][str(answer.status_code)]
    media_type = answer.headers["content-type"].partition(";")[0]
    schema = described["content"][media_type]["schema"] | {"components": closed}
    if media_type.endswith("json"):
        jsonschema.validate(answer.json(), schema, format_checker=FORMATS)
    names = {name.lower() for name in described["headers"]}
    told = {"location", "retry-after"}
    assert names & told == told & set(answer.headers)
    return answer.json() if media_type.endswith("json") else None


def done(api: httpx.Client, url: str) -> httpx.Response:
    until = time.monotonic() + 60
    while (answer := api.get(url)).json()["status"] not in ("SUCCESS", "FAILURE"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return answer


def test_a_model_that_takes_too_long_is_told_as_described(
    tmp_path: Path, document: Any, closed: Any
) -> None:
    slow = FakeServer(during_predict=lambda: time.sleep(1))
    with (
        serving(slow) as port,
        running_api(
            tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}", MODEL_TIMEOUT="0.5"
        ) as client,
    ):
        answer = client.post("/densenet_predict", files={"file": IMAGE})
    problem = check(answer, document["paths"]["/densenet_predict"]["post"], closed)
    assert (answer.status_code, problem["code"]) == (504, "model_timeout")


def test_reports_fit_their_schemas(api: httpx.Client, document: Any, closed: Any) -> None:
    paths = document["paths"]
    fields = {"maps": "true", "heatmaps": "all"}
    packed = api.post("/densenet_predict", files={"file": IMAGE}, data=fields)
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        report = json.loads(archive.read("report.json"))
    schema = {"$ref": "#/components/schemas/PackedReport", "components": closed}
    jsonschema.validate(report, schema, format_checker=FORMATS)
    assert report["activation_maps"]["shape"] == [2, 2, 3]
    assert report["overlays"]
    hosted = api.post("/v2/densenet_predict", json={"image": ENCODED, "heatmaps": "all"})
    assert check(hosted, paths["/v2/densenet_predict"]["post"], closed)["images"]


def test_the_example_of_the_description_can_be_sent(api: httpx.Client, document: Any) -> None:
    for path in ("/v2/densenet_predict", "/async/v2/densenet_predict"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        jsonschema.validate(content["example"], content["schema"])
        assert api.post(path, json=content["example"]).status_code in (200, 202)


def test_tasks_and_batches_fit_their_schemas(api: httpx.Client, document: Any, closed: Any) -> None:
    paths = document["paths"]
    accepted = api.post("/async/v2/densenet_predict", json={"image": ENCODED})
    task = check(accepted, paths["/async/v2/densenet_predict"]["post"], closed)
    found = done(api, task["status_url"])
    assert check(found, paths["/tasks/{task_id}"]["get"], closed)["status"] == "SUCCESS"
    result = api.get(task["result_url"])
    assert check(result, paths["/tasks/{task_id}/result"]["get"], closed)["images"]

    files = [("file", IMAGE), ("file", b"no image")]
    accepted = api.post("/async/batch", files=files)
    batch = check(accepted, paths["/async/batch"]["post"], closed)
    found = done(api, batch["status_url"])
    tasks = check(found, paths["/batches/{batch_id}"]["get"], closed)["tasks"]
    assert [(each["status"], each.get("code")) for each in tasks] == [
        ("SUCCESS", None),
        ("FAILURE", "not_an_image"),
    ]
    failed = api.get(f"/tasks/{tasks[1]['task_id']}/result")
    assert check(failed, paths["/tasks/{task_id}/result"]["get"], closed)["code"] == "not_an_image"


@pytest.mark.parametrize("name", ["summary", "weekly", "daily"])
def test_statistics_fit_their_schemas(
    api: httpx.Client, document: Any, closed: Any, name: str
) -> None:
    path = f"/stats/diseases/{name}"
    api.post("/densenet_predict", files={"file": IMAGE})
    assert check(api.get(path), document["paths"][path]["get"], closed)["models"]
    for accept in ("text/csv", "image/svg+xml"):
        other = api.get(path, headers={"Accept": accept})
        assert other.headers["content-type"].startswith(accept)
        check(other, document["paths"][path]["get"], closed)
    misspelt = api.get(path, params={"versoin": "1"})
    assert check(misspelt, document["paths"][path]["get"], closed)["code"] == "invalid_parameter"


@pytest.mark.parametrize("name", ["", "/model", "/ready", "/redis", "/workers", "/celery"])
def test_health_fits_its_schema(api: httpx.Client, document: Any, closed: Any, name: str) -> None:
    answer = api.get(f"/health{name}")
    assert answer.status_code == 200
    check(answer, document["paths"][f"/health{name}"]["get"], closed)


@pytest.mark.parametrize(
    ("code", "words"),
    [("INVALID_ARGUMENT", "does not keep the model contract"), ("INTERNAL", "failed inside")],
)
def test_a_model_of_another_contract_is_no_model_to_those_who_ask_for_health(
    code: str, words: str, tmp_path: Path, document: Any, closed: Any
) -> None:
    fake = FakeServer(failures=[(grpc.StatusCode[code], "no such signature")] * 10)
    with (
        serving(fake) as port,
        running_api(tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}") as client,
    ):
        for path in ("/health/model", "/health/ready"):
            answer = client.get(path)
            assert check(answer, document["paths"][path]["get"], closed)["status"] == 503
            assert words in answer.json()["detail"]


def test_the_page_asks_nothing_of_other_hosts(api: httpx.Client) -> None:
    page = api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "<style" not in page.text
    assert "onload" not in page.text
    assert "//" not in page.text.replace("<!doctype html>", "")
    for path in ("static/docs/swagger-ui-bundle.js", "static/docs/swagger-ui.css"):
        assert path in page.text
        answer = api.get(f"/{path}")
        assert answer.status_code == 200
        assert "max-age" in answer.headers["cache-control"]
    assert api.get("/static/docs/nothing.js").json()["code"] == "not_found"
