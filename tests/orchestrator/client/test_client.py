import io
import json
import threading
import zipfile
from collections.abc import Callable
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import click
import httpx
import pytest

from orchestrator.client.client import ClientError, open_client, read_image, request_report, send
from tests.support.ports import free_port


def client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer))


def archive(name: str = "report.json", content: str = '{"findings": []}') -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr(name, content)
    return buffer.getvalue()


def test_the_report_in_the_answer_is_returned() -> None:
    with client(lambda _: httpx.Response(200, content=archive())) as http:
        assert request_report(http, b"image", {}) == {"findings": []}


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_and_gets_the_same_image(status: int) -> None:
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        if len(bodies) < 3:
            return httpx.Response(status, headers={"Retry-After": "0"})
        return httpx.Response(200, content=archive())

    with client(answer) as http:
        request_report(http, b"image", {"maps": "true"})
    assert len(bodies) == 3
    assert all(b"image" in body and b'name="maps"' in body for body in bodies)


def test_a_proxy_that_asks_to_wait_until_a_date_is_asked_again() -> None:
    answers = [
        httpx.Response(503, headers={"Retry-After": "Fri, 27 Nov 2026 12:00:00 GMT"}),
        httpx.Response(200, content=archive()),
    ]
    with client(lambda _: answers.pop(0)) as http:
        assert request_report(http, b"image", {}) == {"findings": []}


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(429, headers={"Retry-After": "58"}, json={"detail": "too often"}),
        httpx.Response(503, headers={"Retry-After": "58"}, json={"code": "busy"}),
        httpx.Response(503, headers={"Retry-After": "58"}, json={"code": "queue_full"}),
    ],
)
def test_whoever_waits_for_others_waits_as_long_as_told_and_is_served(
    refusal: httpx.Response,
) -> None:
    waits: list[float] = []
    answers = [refusal] * 40 + [httpx.Response(200)]
    with client(lambda _: answers.pop(0)) as http:
        assert send(http, "/path", {}, [], sleep=waits.append).status_code == 200
    assert waits == [58.0] * 40


@pytest.mark.parametrize(("asked", "waits"), [("58", 63), ("0", 3601)])
def test_who_is_never_served_is_given_the_reason_after_an_hour(asked: str, waits: int) -> None:
    slept: list[float] = []
    problem = httpx.Response(429, headers={"Retry-After": asked}, json={"detail": "too often"})
    with client(lambda _: problem) as http, pytest.raises(ClientError, match="429: too often"):
        send(http, "/path", {}, [], sleep=slept.append)
    assert slept == [float(asked)] * waits


@pytest.mark.parametrize(
    "losses",
    [
        [httpx.ReadError("reset")],
        [httpx.RemoteProtocolError("closed"), httpx.ConnectError("refused")],
        [httpx.WriteError("reset"), *[httpx.ConnectError("refused")] * 4],
    ],
)
def test_an_answer_that_was_lost_is_asked_for_again_by_the_same_key(
    losses: list[httpx.RequestError],
) -> None:
    keys: list[str] = []
    left = list(losses)

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if left:
            raise left.pop(0)
        return httpx.Response(202)

    with client(answer) as http:
        send(http, "/path", {}, [], {"Idempotency-Key": "one"}, sleep=lambda _: None)
    assert keys == ["one"] * (len(losses) + 1)


@pytest.mark.parametrize("status", [502, 504])
def test_a_proxy_that_answers_for_the_service_is_asked_again_and_the_service_is_not(
    status: int,
) -> None:
    of_proxy = httpx.Response(status, html="<h1>Bad Gateway</h1>")
    own = {"Content-Type": "application/problem+json"}
    of_service = httpx.Response(status, headers=own, json={"detail": "refused"})
    answers = [of_proxy, of_service]
    with client(lambda _: answers.pop(0)) as http, pytest.raises(ClientError, match="refused"):
        send(http, "/path", {}, [], sleep=lambda _: None)
    assert answers == []


def test_a_service_that_stays_away_is_given_up() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        raise httpx.ReadError("reset")

    with client(answer) as http, pytest.raises(ClientError, match="ReadError"):
        send(http, "/path", {}, [], sleep=lambda _: None)
    assert len(requests) == 6


@pytest.mark.parametrize("loss", [httpx.ConnectError("refused"), httpx.ReadTimeout("late")])
def test_who_was_not_there_or_took_too_long_is_not_asked_again(loss: httpx.RequestError) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        raise loss

    with client(answer) as http, pytest.raises(ClientError, match=type(loss).__name__):
        send(http, "/path", {}, [], sleep=lambda _: None)
    assert len(requests) == 1


def test_waits_grow_while_a_service_stays_busy() -> None:
    waits: list[float] = []
    problem = httpx.Response(503, headers={"Retry-After": "8"})
    with client(lambda _: problem) as http, pytest.raises(ClientError):
        send(http, "/path", {}, [], sleep=waits.append)
    assert waits == [8.0, 12.0, 18.0, 27.0, 30.0]


def test_who_is_told_to_come_back_tomorrow_is_given_the_reason_at_once() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        problem = {"detail": "go on in 86400 seconds"}
        return httpx.Response(429, headers={"Retry-After": "86400"}, json=problem)

    with client(answer) as http, pytest.raises(ClientError, match="429: go on in 86400 seconds"):
        request_report(http, b"image", {})
    assert len(requests) == 1


def test_an_answer_that_can_not_be_decoded_is_none() -> None:
    broken = {"Content-Encoding": "gzip"}

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=broken, stream=httpx.ByteStream(b"no gzip"))

    with client(answer) as http, pytest.raises(ClientError, match="no answer"):
        request_report(http, b"image", {})


def test_a_service_that_stays_busy_is_given_up() -> None:
    problem = httpx.Response(503, headers={"Retry-After": "0"}, json={"detail": "too busy"})
    with client(lambda _: problem) as http, pytest.raises(ClientError, match="503: too busy"):
        request_report(http, b"image", {})


def test_a_refusal_is_passed_on_with_its_reason() -> None:
    refusal = httpx.Response(415, content=json.dumps({"detail": "one frame only"}))
    with client(lambda _: refusal) as http, pytest.raises(ClientError, match="415: one frame only"):
        request_report(http, b"image", {})


@pytest.mark.parametrize("content", [b"<html>", archive("other.json"), archive(content="{")])
def test_another_kind_of_answer_is_no_report(content: bytes) -> None:
    answer = httpx.Response(200, content=content)
    with client(lambda _: answer) as http, pytest.raises(ClientError, match="is this the service"):
        request_report(http, b"image", {})


def test_a_service_that_is_away_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client(answer) as http, pytest.raises(ClientError, match=r"http://service.*ConnectError"):
        request_report(http, b"image", {})


def test_a_file_that_cannot_be_read_is_an_image_without_a_result(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="a file that can be read: No such file"):
        read_image(tmp_path / "gone.png")


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_API_KEY", "cxr_1")
    with open_client("http://service", 1) as http:
        assert http.headers["authorization"] == "Bearer cxr_1"
    monkeypatch.delenv("CXR_API_KEY")
    with open_client("http://service", 1) as http:
        assert "authorization" not in http.headers


@pytest.mark.parametrize("key", ["ключ", "cxr_1\n", "cxr 1", "cxr_\udcff"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_API_KEY", key)
    with pytest.raises(click.ClickException, match=r"^CXR_API_KEY: expected ") as caught:
        open_client("http://service", 1)
    assert key.strip() not in caught.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_what_is_meant_for_this_machine_goes_through_no_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with open_client(f"http://{host}:{server.server_port}", 5) as http:
                assert http.head("/").status_code == 200
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NO_PROXY", "localhost,[::1]"),
        ("NO_PROXY", "fd00::/8"),
        ("ALL_PROXY", "socks://user:hunter2@127.0.0.1:1080"),
        ("ALL_PROXY", "socks5://user:hunter2@127.0.0.1:1080"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_told_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    for each in (name, name.lower()):
        monkeypatch.setenv(each, value)
    with pytest.raises(click.ClickException, match="expected HTTP_PROXY") as caught:
        open_client("http://service", 1)
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("server", ["https://127.0.0.1", "https://service"])
def test_certificates_that_can_not_be_read_are_told(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(click.ClickException, match=r"^SSL_CERT_FILE: expected a file of certific"):
        open_client(server, 1)


@pytest.mark.parametrize("server", ["", "localhost:5000", "ftp://service", "http://", "http://a:b"])
def test_a_server_that_is_no_address_is_a_mistake_of_usage(server: str) -> None:
    with pytest.raises(click.UsageError, match="expected an address such as http://") as caught:
        open_client(server, 1)
    assert caught.value.exit_code == 2
