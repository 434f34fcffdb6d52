"""Bad input over HTTP, to a real process: what is refused, with which status and code."""

import base64
import socket
from collections.abc import Iterator
from itertools import chain
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.support.api import running_api
from tests.support.images import encoded, gradient, png, png_header_claiming
from tests.support.ports import free_port

SOUND = png(gradient(64, 64))
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8))
FRAMES = {"save_all": True, "append_images": [Image.fromarray(gradient(200, 200))]}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run the API without a model server: bad input is refused before one is asked."""
    log = tmp_path_factory.mktemp("api") / "log"
    with running_api(log, MODEL_SERVER=f"127.0.0.1:{free_port()}") as client:
        yield client
    written = log.read_text()
    assert "Traceback" not in written
    assert "DOE" not in written


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["detail"]
    assert "Traceback" not in response.text


def half(file_format: str) -> bytes:
    whole = encoded(NOISE, file_format)
    return whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("upload", "status", "code"),
    [
        pytest.param(b"", 400, "empty_file", id="empty file"),
        pytest.param(b"Dear doctor, ...", 400, "not_an_image", id="text"),
        pytest.param(half("PNG"), 400, "not_an_image", id="truncated PNG"),
        pytest.param(half("JPEG"), 400, "not_an_image", id="truncated JPEG"),
        pytest.param(half("TIFF"), 400, "not_an_image", id="truncated TIFF"),
        pytest.param(half("BMP"), 400, "not_an_image", id="truncated BMP"),
        pytest.param(half("WEBP"), 400, "not_an_image", id="truncated WebP"),
        pytest.param(
            png_header_claiming(30_000, 30_000), 413, "too_many_pixels", id="decompression bomb"
        ),
        pytest.param(encoded(NOISE, "GIF", **FRAMES), 415, "unsupported_format", id="animated GIF"),
        pytest.param(encoded(NOISE, "PNG", **FRAMES), 415, "multiple_frames", id="animated PNG"),
        pytest.param(encoded(NOISE, "WEBP", **FRAMES), 415, "multiple_frames", id="animated WebP"),
        pytest.param(encoded(NOISE, "TIFF", **FRAMES), 415, "multiple_frames", id="paged TIFF"),
        pytest.param(bytes(128) + b"DICM", 415, "unsupported_format", id="DICOM"),
        pytest.param(b"%PDF-1.7", 415, "unsupported_format", id="PDF"),
        pytest.param(png(gradient(16, 16)), 422, "implausible_size", id="too small"),
    ],
)
def test_a_file_that_is_no_radiograph(
    api: httpx.Client, upload: bytes, status: int, code: str
) -> None:
    response = api.post("/densenet_predict", files={"file": ("JANE_DOE.png", upload)})
    assert_problem(response, status, code)
    assert "JANE" not in response.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("font_size", "abc"),
        ("font_size", "-1"),
        ("font_size", "1e9"),
        ("font_size", "0"),
        ("format", "gif"),
        ("max_size", "9"),
    ],
)
def test_a_parameter_out_of_bounds(api: httpx.Client, name: str, value: str) -> None:
    response = api.post("/densenet_predict", files={"file": SOUND}, data={name: value})
    assert_problem(response, 422, "invalid_parameter")
    assert response.json()["detail"].startswith(f"{name}: expected ")


@pytest.mark.parametrize(
    ("request_parts", "status", "code"),
    [
        pytest.param({"content": SOUND}, 415, "unsupported_media_type", id="no content type"),
        pytest.param(
            {"content": SOUND, "headers": {"content-type": "image/png"}},
            415,
            "unsupported_media_type",
            id="bare image",
        ),
        pytest.param({"json": {"file": "x"}}, 415, "unsupported_media_type", id="JSON"),
        pytest.param(
            {"data": {"file": "x"}}, 415, "unsupported_media_type", id="form without file"
        ),
        pytest.param(
            {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            422,
            "missing_file",
            id="zero-size multipart",
        ),
        pytest.param(
            {
                "content": b"--x--\r\n",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            422,
            "missing_file",
            id="multipart without parts",
        ),
        pytest.param(
            {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
            400,
            "malformed_body",
            id="no boundary",
        ),
        pytest.param(
            {"content": b"junk", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            400,
            "malformed_body",
            id="junk in multipart",
        ),
        pytest.param(
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc',
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            400,
            "malformed_body",
            id="multipart that is cut short",
        ),
        pytest.param(
            {
                "content": b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nabc\r\n--x--\r\n',
                "headers": {"content-type": "multipart/form-data; boundary=x; charset=undefined"},
            },
            400,
            "malformed_body",
            id="a charset that can't be read",
        ),
        pytest.param(
            {"files": {"file": SOUND}, "headers": {"content-encoding": "gzip"}},
            415,
            "unsupported_media_type",
            id="compressed",
        ),
        pytest.param({"files": {"image": SOUND}}, 422, "missing_file", id="another field"),
        pytest.param(
            {"files": {"file": (None, "text")}}, 422, "missing_file", id="text in the field"
        ),
        pytest.param(
            {"files": [("file", (None, "text")), ("file", SOUND)]},
            422,
            "missing_file",
            id="text and a file in the field",
        ),
        pytest.param(
            {"files": [("file", SOUND), ("file", (None, "text"))]},
            422,
            "missing_file",
            id="a file and text in the field",
        ),
        pytest.param(
            {"files": [("file", SOUND), ("file", SOUND)]}, 400, "malformed_body", id="two files"
        ),
    ],
)
def test_a_body_that_is_no_upload(
    api: httpx.Client, request_parts: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(api.post("/densenet_predict", **request_parts), status, code)


@pytest.mark.parametrize("size", [10, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])
def test_an_image_without_a_file_name_is_refused_alike_whatever_its_size(
    api: httpx.Client, size: int
) -> None:
    response = api.post("/densenet_predict", files={"file": (None, bytes(size))})
    assert_problem(response, 422, "missing_file")
    got = "text in it" if size <= 1024 * 1024 else "more than 1 MiB of text"
    assert response.json()["detail"] == (
        f"expected the image as a file in the form field 'file', got {got} (a part without filename is text, and any"
        " name makes it a file); with curl, use -F file=@IMAGE"
    )
    response = api.post("/densenet_predict", files={"image": (None, bytes(size))})
    assert_problem(response, 422, "missing_file")


@pytest.mark.parametrize(
    "parameters",
    [
        "name=file; filename*=UTF-8''DOE%20J%C3%84NE%3B.png",
        "filename*=UTF-8''DOE%20J%C3%84NE.png; name=file",
        "name=file; filename=DOE.png; filename*=UTF-8''DOE.png",
    ],
)
def test_a_file_name_of_rfc_8187_makes_a_file_too(api: httpx.Client, parameters: str) -> None:
    """As older clients write names that are not ASCII."""
    head = f"--x\r\nContent-Disposition: form-data; {parameters}\r\n\r\n".encode()
    headers = {"content-type": "multipart/form-data; boundary=x"}
    large = encoded(Image.fromarray(gradient(1200, 1200)), "BMP")
    for image in (SOUND, large):
        body = head + image + b"\r\n--x--\r\n"
        response = api.post("/densenet_predict", content=body, headers=headers)
        assert_problem(response, 503, "model_unavailable")
        assert "DOE" not in response.text


@pytest.mark.parametrize(
    ("charset", "is_read"),
    [
        ("UTF-8", True),
        ('"utf-8"', True),
        ("iso-8859-1", True),
        ("punycode", False),
        ('"IDNA"', False),
        ("utf-7", False),
        ("none-" + 60 * "x", False),
    ],
)
def test_a_form_names_no_charset_but_those_that_are_read_at_once(
    api: httpx.Client, charset: str, is_read: bool
) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file-"\r\n\r\nzz9b\r\n--x--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    response = api.post("/densenet_predict", content=body, headers=headers)
    if is_read:
        assert_problem(response, 422, "missing_file")
    else:
        assert_problem(response, 400, "malformed_body")
        assert "names another charset" in response.json()["detail"]


def test_a_hundred_megabytes_are_refused(api: httpx.Client) -> None:
    response = api.post("/densenet_predict", files={"file": bytes(100_000_000)})
    assert_problem(response, 413, "too_many_bytes")


def test_a_hundred_megabytes_without_a_declared_length_are_refused(api: httpx.Client) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = chain([part], (bytes(1_000_000) for _ in range(100)))
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = api.post("/densenet_predict", content=body, headers=headers)
    assert_problem(response, 413, "too_many_bytes")


def test_unknown_paths_and_wrong_methods_are_problems_too(api: httpx.Client) -> None:
    for path in ("/no/such/path", "/health/", "/docs/", "/static"):
        assert_problem(api.get(path), 404, "not_found")
    assert_problem(api.post("/densenet_predict/"), 404, "not_found")
    response = api.get("/densenet_predict")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    response = api.put("/tasks/0f8fad5b-d9cb-469f-a165-70867728950e")
    assert response.headers["allow"] == "DELETE, GET, HEAD"
    response = api.post("/static/page/page.js")
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "kind", "setting"),
    [
        ("/densenet_predict", "multipart/form-data; boundary=x", "MAX_UPLOAD_BYTES"),
        ("/async/batch", "multipart/form-data; boundary=x", "BATCH_BYTES"),
    ],
)
def test_whoever_asks_before_sending_too_much_is_spared_it(
    api: httpx.Client, path: str, kind: str, setting: str
) -> None:
    """RFC 9110, 10.1.1: a final status in place of ``100 Continue``."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        "Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((api.base_url.host, api.base_url.port or 80), 10) as line:
        line.sendall(head.encode())
        with line.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 413 ")
            assert setting.encode() in answer.read()  # up to the end: it closes the connection


def test_parameters_with_file_names_beside_the_image_are_told_to_have_none(
    api: httpx.Client,
) -> None:
    files = {"file": ("DOE^JANE.png", SOUND), "max_size": ("blob", b"512")}
    response = api.post("/densenet_predict", files=files)
    assert_problem(response, 400, "malformed_body")
    assert response.json()["detail"] == (
        "expected a multipart form with one file, got several parts with a file name; send one image, and parameters"
        " without a file name"
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *((path, "heatmaps") for path in ("/densenet_predict", "/async/densenet_predict")),
        *((path, "maps") for path in ("/v2/densenet_predict", "/async/v2/densenet_predict")),
        ("/async/batch", "format"),
        *((path, "callback_url") for path in ("/async/densenet_predict", "/async/batch")),
        ("/async/v2/densenet_predict", "callback_url"),
    ],
)
def test_a_parameter_in_the_query_is_not_overlooked(
    api: httpx.Client, path: str, name: str
) -> None:
    image: dict[str, Any] = (
        {"json": {"image": base64.b64encode(SOUND).decode()}}
        if "v2" in path
        else {"files": {"file": SOUND}}
    )
    response = api.post(path, params={name: "DOE"}, **image)
    assert_problem(response, 422, "invalid_parameter")
    assert response.json()["detail"].startswith(f"{name}: expected it in the body, ")
    assert api.post(path, params={"trace": "1"}, **image).status_code != 422


def test_a_file_in_the_place_of_a_parameter_is_refused_without_its_name(api: httpx.Client) -> None:
    files = {"font_size": ("DOE^JANE.png", b"8")}
    response = api.post("/densenet_predict", files=files)
    assert_problem(response, 422, "invalid_parameter")
    assert "DOE" not in response.text


def test_a_sound_image_finds_the_model_away_within_its_deadline(api: httpx.Client) -> None:
    response = api.post("/densenet_predict", files={"file": SOUND})
    assert_problem(response, 503, "model_unavailable")
    assert int(response.headers["retry-after"]) > 0


def test_the_process_lives_and_is_not_ready(api: httpx.Client) -> None:
    assert api.get("/health").json()["status"] == "ok"
    assert_problem(api.get("/health/ready"), 503, "model_unavailable")
    assert_problem(api.get("/health/model"), 503, "model_unavailable")


def test_a_request_id_is_taken_over_only_if_it_is_random(api: httpx.Client) -> None:
    given = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert api.get("/health", headers={"X-Request-ID": given}).headers["x-request-id"] == given
    named = api.get("/health", headers={"X-Request-ID": "DOE^JANE"}).headers["x-request-id"]
    assert "DOE" not in named
