"""The path that answers URLs, to real processes: good and bad bodies, both stores, links that end."""

import base64
import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from orchestrator.hosted import as_json, with_base
from orchestrator.security_headers import NOTHING
from orchestrator.study import Analysis, Report
from tests.support.api import running_api
from tests.support.cloudinary_server import API_KEY, API_SECRET, CLOUD, cloudinary_server
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import encoded, gradient, png
from tests.support.overlays import overlay
from tests.support.ports import free_port

PATH = "/v2/densenet_predict"
SOUND = png(gradient(300, 200))
ENCODED = base64.b64encode(SOUND).decode()
REPORT = Report(
    analysis_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    model_name="densenet",
    model_version=1,
    card_digest="0" * 64,
    predictions=(),
    width=300,
    height=200,
    sha256="1" * 64,
    heatmap_scale=1.0,
    timings_ms={},
    warnings=(),
    findings=(),
)


def test_images_are_described_beside_their_urls() -> None:
    result = as_json(Analysis(REPORT, (overlay("Mass"),)), ["/files/x"])
    assert result["image_urls"] == ["/files/x"]
    assert result["images"] == [
        {
            "label": "Mass",
            "probability": 0.75,
            "url": "/files/x",
            "media_type": "image/jpeg",
            "width": 40,
            "height": 30,
            "radiograph": {"x": 5, "y": 5, "width": 30, "height": 20},
        }
    ]
    assert json.loads(json.dumps(result)) == result


def test_links_to_this_service_get_its_address_and_others_keep_theirs() -> None:
    away = "https://res.cloudinary.com/demo/image/upload/v1/x.jpg"
    result = as_json(Analysis(REPORT, (overlay(), overlay())), ["/files/x", away])
    absolute = with_base(result, "https://cxr.example.org/")
    assert absolute["image_urls"] == ["https://cxr.example.org/files/x", away]
    assert [image["url"] for image in absolute["images"]] == absolute["image_urls"]
    assert result["image_urls"][0] == "/files/x"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run the API with a model server that answers .75 for Edema and .125 for Mass, whatever it gets."""
    log = tmp_path_factory.mktemp("api") / "log"
    limit = {"MAX_UPLOAD_BYTES": "1000000"}
    with (
        serving(FakeServer()) as port,
        running_api(log, MODEL_SERVER=f"127.0.0.1:{port}", **limit) as client,
    ):
        yield client
    text = log.read_text()
    assert "Traceback" not in text
    assert "JANE" not in text


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert "JANE" not in response.text


def predict(api: httpx.Client, **fields: Any) -> Any:
    response = api.post(PATH, json={"image": ENCODED, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_the_original_client_program_prints_urls_that_open(api: httpx.Client) -> None:
    result = predict(api)
    (url,) = result["image_urls"]
    assert url.startswith(str(api.base_url))
    picture = httpx.get(url)
    assert picture.headers["content-type"] == "image/jpeg"
    opened = Image.open(io.BytesIO(picture.content))
    assert opened.size == (result["images"][0]["width"], result["images"][0]["height"])
    assert result["findings"] == ["Edema"]
    assert [each["probability"] for each in result["predictions"]] == [0.75, 0.125]


def test_options_are_json_values(api: httpx.Client) -> None:
    result = predict(
        api, heatmaps=["Mass", "Edema"], format="png", font_size=20, max_size=256, maps=True
    )
    assert [image["label"] for image in result["images"]] == ["Edema", "Mass"]
    assert {image["media_type"] for image in result["images"]} == {"image/png"}
    assert max(result["images"][0]["radiograph"][side] for side in ("width", "height")) <= 256
    assert result["activation_maps"]["shape"] == [2, 2, 3]


def test_no_heatmaps_give_no_urls(api: httpx.Client) -> None:
    result = predict(api, heatmaps="none")
    assert result["image_urls"] == []
    assert result["images"] == []


def test_a_data_url_is_fine_and_nothing_of_a_patient_leaves_it(api: httpx.Client) -> None:
    marked = PngInfo()
    marked.add_text("PatientName", "JANE DOE")
    upload = base64.b64encode(encoded(Image.fromarray(gradient()), "PNG", pnginfo=marked)).decode()
    url = f"data:image/png;name=JANE_DOE.png;base64,{upload}"
    response = api.post(PATH, json={"image": url})
    assert response.status_code == 200
    assert "JANE" not in response.text
    assert b"JANE" not in httpx.get(response.json()["image_urls"][0]).content


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(b"", 400, "malformed_body", id="empty body"),
        pytest.param(b"{", 400, "malformed_body", id="cut JSON"),
        pytest.param(b"\xff\xfe\xff", 400, "malformed_body", id="not UTF-8"),
        pytest.param(b"[" * 100_000, 400, "malformed_body", id="deeply nested"),
        pytest.param(b"1" * 5_000, 400, "malformed_body", id="endless number"),
        pytest.param(
            b'{"a":[' + b"{}," * 400_000 + b"{}]}", 400, "malformed_body", id="too many values"
        ),
        pytest.param(b'"text"', 422, "invalid_parameter", id="JSON text"),
        pytest.param(b"[]", 422, "invalid_parameter", id="JSON list"),
        pytest.param(b"{}", 422, "missing_file", id="no image"),
        pytest.param(b'{"image": null}', 422, "missing_file", id="null"),
        pytest.param(b'{"image": 1}', 422, "invalid_parameter", id="a number"),
        pytest.param(b'{"image": ["AAAA"]}', 422, "invalid_parameter", id="a list"),
        pytest.param(b'{"image": ""}', 400, "empty_file", id="empty text"),
        pytest.param(b'{"image": "JANE DOE!"}', 400, "malformed_base64", id="no base64"),
        pytest.param(b'{"image": "\\ud800"}', 400, "malformed_base64", id="lone surrogate"),
        pytest.param(b'{"image": "AAAA"}', 400, "not_an_image", id="no image in it"),
        pytest.param(
            b'{"image": "AAAA", "font_size": "big"}', 422, "invalid_parameter", id="bad option"
        ),
        pytest.param(
            b'{"image": "AAAA", "heatmaps": {"a": 1}}', 422, "invalid_parameter", id="odd option"
        ),
    ],
)
def test_a_body_that_cant_be_served(api: httpx.Client, body: bytes, status: int, code: str) -> None:
    response = api.post(PATH, content=body, headers={"content-type": "application/json"})
    assert_problem(response, status, code)


def test_another_content_type_is_refused(api: httpx.Client) -> None:
    assert_problem(api.post(PATH, files={"file": SOUND}), 415, "unsupported_media_type")
    assert_problem(api.post(PATH, content=b"{}"), 415, "unsupported_media_type")


def test_the_upload_limit_is_that_of_the_image_not_of_its_base64(api: httpx.Client) -> None:
    fits = base64.b64encode(SOUND + bytes(1_000_000 - len(SOUND))).decode()
    assert api.post(PATH, json={"image": fits}).status_code == 200
    wrapped = base64.encodebytes(SOUND + bytes(1_000_000 - len(SOUND))).decode()
    assert api.post(PATH, json={"image": wrapped.replace("\n", "\r\n")}).status_code == 200
    larger = base64.b64encode(SOUND + bytes(1_000_001 - len(SOUND))).decode()
    assert_problem(api.post(PATH, json={"image": larger}), 413, "too_many_bytes")
    assert_problem(api.post(PATH, json={"image": "A" * 2_000_000}), 413, "too_many_bytes")


@pytest.mark.parametrize("path", [PATH, "/densenet_predict"])
def test_a_client_that_goes_away_while_sending_leaves_no_traceback(
    api: httpx.Client, path: str
) -> None:
    host, port = str(api.base_url.host), int(api.base_url.port or 0)
    kind = "application/json" if path == PATH else "multipart/form-data; boundary=x"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 999\r\n\r\n"
    with socket.create_connection((host, port)) as connection:
        connection.sendall(head.encode() + b"--x")
        time.sleep(0.2)
    assert api.get("/health").status_code == 200  # the log is looked at when the process has ended


def test_a_link_that_was_changed_is_refused(api: httpx.Client) -> None:
    (url,) = predict(api)["image_urls"]
    assert_problem(httpx.get(url[:-1]), 403, "invalid_link")
    assert_problem(httpx.get(url.partition("?")[0]), 403, "invalid_link")
    assert_problem(api.get("/files/..%2Ffiles.secret"), 404, "not_found")
    assert_problem(api.get("/files/%2e%2e"), 403, "invalid_link")


def test_a_picture_can_do_nothing_but_be_looked_at(api: httpx.Client) -> None:
    headers = httpx.get(predict(api)["image_urls"][0]).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == f"{NOTHING}; sandbox"
    assert headers["cache-control"] == "no-store"


def test_a_link_ends(tmp_path: Path) -> None:
    with (
        serving(FakeServer()) as port,
        running_api(tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}", FILES_TTL="1") as api,
    ):
        (url,) = predict(api)["image_urls"]
        response = httpx.get(url)
        while response.status_code == 200:
            time.sleep(0.2)
            response = httpx.get(url)
        assert_problem(response, 410, "expired_link")


def test_links_carry_the_address_that_the_operator_set(tmp_path: Path) -> None:
    public = {"PUBLIC_URL": "https://cxr.example.org/api/"}
    with (
        serving(FakeServer()) as port,
        running_api(tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}", **public) as api,
    ):
        (url,) = predict(api)["image_urls"]
        assert url.startswith("https://cxr.example.org/api/files/")
        path = url.removeprefix("https://cxr.example.org/api")
        assert api.get(path).status_code == 200


def test_with_an_account_pictures_go_to_cloudinary(tmp_path: Path) -> None:
    with cloudinary_server() as cloud, serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "CLOUDINARY_CLOUD_NAME": CLOUD,
            "CLOUDINARY_API_KEY": API_KEY,
            "CLOUDINARY_API_SECRET": API_SECRET,
            "CLOUDINARY_UPLOAD_PREFIX": cloud.url,
        }
        with running_api(tmp_path / "log", **settings) as api:
            urls = predict(api, heatmaps="all")["image_urls"]
            assert len(urls) == 2
            assert all(url.startswith("https://res.cloudinary.com/") for url in urls)
            assert httpx.get(cloud.url + urlsplit(urls[0]).path).status_code == 200
            assert_problem(api.get("/files/x"), 404, "not_found")
            cloud.failures = [(401, "Invalid Signature")]
            response = api.post(PATH, json={"image": ENCODED})
            assert_problem(response, 502, "store_rejected")
            cloud.most_bytes = 100
            response = api.post(PATH, json={"image": ENCODED})
            assert_problem(response, 422, "result_too_large")
    log = (tmp_path / "log").read_text()
    assert API_SECRET not in log
    assert "cxr-" not in log
    assert not (tmp_path / "data").exists()


def test_a_store_that_is_away_is_503_with_retry_after(tmp_path: Path) -> None:
    settings = {
        "CLOUDINARY_CLOUD_NAME": CLOUD,
        "CLOUDINARY_API_KEY": API_KEY,
        "CLOUDINARY_API_SECRET": API_SECRET,
        "CLOUDINARY_UPLOAD_PREFIX": f"http://127.0.0.1:{free_port()}",
        "CLOUDINARY_TIMEOUT": "0.1",
    }
    with (
        serving(FakeServer()) as port,
        running_api(tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}", **settings) as api,
    ):
        response = api.post(PATH, json={"image": ENCODED})
        assert_problem(response, 503, "store_unavailable")
        assert int(response.headers["retry-after"]) > 0


def test_links_of_a_time_before_there_was_an_account_lead_to_their_pictures(
    tmp_path: Path,
) -> None:
    with cloudinary_server() as cloud, serving(FakeServer()) as port:
        before = {"MODEL_SERVER": f"127.0.0.1:{port}", "DATA_DIR": str(tmp_path / "data")}
        account = {
            "CLOUDINARY_CLOUD_NAME": CLOUD,
            "CLOUDINARY_API_KEY": API_KEY,
            "CLOUDINARY_API_SECRET": API_SECRET,
            "CLOUDINARY_UPLOAD_PREFIX": cloud.url,
        }
        with running_api(tmp_path / "log", **before) as api:
            (url,) = predict(api)["image_urls"]
            picture = httpx.get(url).content
        with running_api(tmp_path / "log", **before, **account) as api:
            link = urlsplit(url)
            assert api.get(f"{link.path}?{link.query}").content == picture
            (away,) = predict(api)["image_urls"]
            assert away.startswith("https://res.cloudinary.com/")
