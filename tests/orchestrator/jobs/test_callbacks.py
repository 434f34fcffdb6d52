import hashlib
import hmac
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.errors import ModelUnavailableError, ParameterError
from orchestrator.jobs import callbacks as module
from orchestrator.jobs import keys
from orchestrator.jobs.callbacks import Callbacks, checked_url
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_ledger, create_submitter
from orchestrator.settings import Settings
from orchestrator.study import Options

SECRET = "a secret"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


class Receiver(HTTPServer):
    """Take calls, and answer what the test says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.meanwhile: list[Callable[[], object]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Receiver)
        self.server.paths.append(self.path)
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        self.server.paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append((dict(self.headers), body))
        if self.server.meanwhile:
            self.server.meanwhile.pop()()
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("Location", f"http://{self.server.host}/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Return a folder with an authority of its own, and a certificate of 127.0.0.1 that it has signed."""
    folder = tmp_path / "authority"
    folder.mkdir()
    make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    itself = ["-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem"]
    signed = ["-subj", "/CN=receiver", "-keyout", "receiver.key", "-out", "receiver.pem"]
    signed += ["-CA", "authority.pem", "-CAkey", "authority.key"]
    signed += ["-addext", "subjectAltName=IP:127.0.0.1"]
    signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
    for command in ([*make, *itself], [*make, *signed], ["rehash", "."]):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def secure(receiver: Receiver, authority: Path) -> Receiver:
    """Return a receiver that speaks TLS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority / "receiver.pem", authority / "receiver.key")
    receiver.socket = tls.wrap_socket(receiver.socket, server_side=True)
    return receiver


class Dripping:
    """Take calls, and answer the first bytes at once and one more every tenth of a second."""

    def __init__(self, listening: socket.socket, first: bytes) -> None:
        self.host = f"127.0.0.1:{listening.getsockname()[1]}"
        self.calls = 0
        self._listening = listening
        self._first = first

    def take(self) -> None:
        """Take calls until nobody listens any more."""
        with suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                self.calls += 1
                threading.Thread(target=self._drip, args=[caller], daemon=True).start()

    def _drip(self, caller: socket.socket) -> None:
        with caller, suppress(OSError):
            caller.recv(65536)
            caller.sendall(self._first)
            while True:
                time.sleep(0.1)
                caller.sendall(b"x")


@contextmanager
def dripping(first: bytes) -> Iterator[Dripping]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Dripping(listening, first)
        threading.Thread(target=found.take, daemon=True).start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)


def finished(
    client: redis.Redis, settings: Settings, receiver: Receiver | Dripping, *, fails: bool
) -> str:
    url = f"http://{receiver.host}/done"
    task_id = (
        create_submitter(settings, client)
        .submit(Submission([b"image"], Options(), callback=url))
        .identifier
    )
    ledger = create_ledger(settings, client)
    ledger.begin(task_id)
    if fails:
        ledger.fail(task_id, ModelUnavailableError("away"))
    else:
        ledger.succeed(task_id, 1)
    return task_id


def caller(client: redis.Redis, settings: Settings, *hosts: str) -> Callbacks:
    """Return what makes calls, to these hosts alone."""
    return Callbacks(client, create_ledger(settings, client), SECRET, hosts)


def due_at_once(client: redis.Redis) -> None:
    for task_id, _ in client.zscan_iter(keys.OUTBOX):
        client.zadd(keys.OUTBOX, {task_id: 0})


@pytest.mark.parametrize("fails", [False, True])
def test_a_callback_is_made_once_and_signed(
    client: redis.Redis, settings: Settings, receiver: Receiver, fails: bool
) -> None:
    task_id = finished(client, settings, receiver, fails=fails)
    callbacks = caller(client, settings, receiver.host)
    for _ in range(3):
        callbacks.deliver_one()
        due_at_once(client)
    ((headers, body),) = receiver.calls
    expected = {"event": "task.done", "task_id": task_id, "status": "SUCCESS"}
    if fails:
        expected |= {"status": "FAILURE", "code": "model_unavailable"}
    assert json.loads(body) == expected
    moment, _, given = headers["X-CXR-Signature"].removeprefix("t=").partition(",v1=")
    signed = f"{moment}.".encode() + body
    assert given == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


def test_a_callback_that_is_refused_is_repeated_with_the_same_number(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    finished(client, settings, receiver, fails=False)
    receiver.statuses = [500, 302, 204]
    callbacks = caller(client, settings, receiver.host)
    for _ in range(5):
        callbacks.deliver_one()
        due_at_once(client)
    assert len(receiver.calls) == 3
    assert len({headers["X-CXR-Delivery"] for headers, _ in receiver.calls}) == 1


def test_a_host_that_may_be_called_no_more_is_not_called(
    client: redis.Redis,
    settings: Settings,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task_id = finished(client, settings, receiver, fails=False)
    callbacks = caller(client, settings, "another.example")
    for _ in range(8):
        due_at_once(client)
        assert callbacks.deliver_one()
    assert receiver.calls == []
    assert client.zcard(keys.OUTBOX) == 0
    assert told(caplog) == [("callback given up", task_id, "host not in CALLBACK_HOSTS")]


def test_a_host_that_some_processes_do_not_allow_yet_is_called_by_others(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    finished(client, settings, receiver, fails=False)
    for host in ("another.example", receiver.host):
        due_at_once(client)
        assert caller(client, settings, host).deliver_one()
    assert len(receiver.calls) == 1
    assert client.zcard(keys.OUTBOX) == 0


def test_a_redirection_is_a_refusal_and_not_followed(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    finished(client, settings, receiver, fails=False)
    receiver.statuses = [302]
    due_at_once(client)
    caller(client, settings, receiver.host).deliver_one()
    assert receiver.paths == ["/done"]
    assert client.zcard(keys.OUTBOX) == 1


def test_between_two_tries_of_a_call_lies_twice_as_long_each_time(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    task_id = finished(client, settings, receiver, fails=False)
    receiver.statuses = [500] * 7
    callbacks = caller(client, settings, receiver.host)
    waits = []
    for _ in range(7):
        due_at_once(client)
        callbacks.deliver_one()
        due = client.zscore(keys.OUTBOX, task_id)
        assert isinstance(due, float)
        waits.append(due - time.time())
    assert waits == pytest.approx([2, 4, 8, 16, 32, 64, 128], abs=2)


@pytest.mark.parametrize(("seconds", "calls"), [(3600, 1), (100, 0)])
def test_a_call_waits_no_longer_than_any_does_though_redis_clock_was_set_back(
    client: redis.Redis, settings: Settings, receiver: Receiver, seconds: int, calls: int
) -> None:
    task_id = finished(client, settings, receiver, fails=False)
    client.zadd(keys.OUTBOX, {task_id: time.time() + seconds})
    caller(client, settings, receiver.host).deliver_one()
    assert len(receiver.calls) == calls


def test_a_receiver_that_never_answers_is_given_up(
    client: redis.Redis,
    settings: Settings,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task_id = finished(client, settings, receiver, fails=False)
    receiver.statuses = [500] * 20
    callbacks = caller(client, settings, receiver.host)
    for _ in range(12):
        callbacks.deliver_one()
        due_at_once(client)
    assert len(receiver.calls) == 8
    assert client.zcard(keys.OUTBOX) == 0
    assert told(caplog) == [("callback given up", task_id, "HTTP 500")]


def test_a_task_that_is_put_back_and_done_during_its_call_is_called_for_again(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    ledger = create_ledger(settings, client)
    task_id = finished(client, settings, receiver, fails=True)

    def put_back() -> None:
        client.zrem(keys.RQ_FAILED, task_id)  # as an operator does
        ledger.begin(task_id)
        ledger.succeed(task_id, 1)

    receiver.meanwhile = [put_back]
    callbacks = caller(client, settings, receiver.host)
    for _ in range(4):
        due_at_once(client)
        callbacks.deliver_one()
    assert [json.loads(body)["status"] for _, body in receiver.calls] == ["FAILURE", "SUCCESS"]
    assert len({headers["X-CXR-Delivery"] for headers, _ in receiver.calls}) == 2


def test_a_call_whose_task_was_forgotten_by_age_is_given_up(
    client: redis.Redis,
    settings: Settings,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task_id = finished(client, settings, receiver, fails=False)
    client.delete(keys.task_key(task_id))
    due_at_once(client)
    assert caller(client, settings, receiver.host).deliver_one()
    assert not receiver.calls
    assert client.zcard(keys.OUTBOX) == 0
    assert [record.getMessage() for record in caplog.records] == ["callback given up"]


def test_a_call_whose_task_is_forgotten_by_age_meanwhile_leaves_nothing(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    task_id = finished(client, settings, receiver, fails=True)
    receiver.statuses = [500]
    receiver.meanwhile = [lambda: client.delete(keys.task_key(task_id))]
    due_at_once(client)
    caller(client, settings, receiver.host).deliver_one()
    assert len(receiver.calls) == 1
    assert not client.exists(keys.task_key(task_id))
    assert client.zcard(keys.OUTBOX) == 0


def test_an_address_that_can_not_be_called_does_not_keep_others_from_being_called(
    client: redis.Redis, settings: Settings, receiver: Receiver
) -> None:
    submission = Submission([b"image"], Options(), callback="https://pacs.example/\x01")
    bad = create_submitter(settings, client).submit(submission).identifier
    ledger = create_ledger(settings, client)
    ledger.begin(bad)
    ledger.succeed(bad, 1)
    finished(client, settings, receiver, fails=False)
    due_at_once(client)
    callbacks = caller(client, settings, receiver.host, "pacs.example")
    while callbacks.deliver_one():
        pass
    assert len(receiver.calls) == 1
    assert client.hget(keys.task_key(bad), "callback_tries") == b"1"


def test_the_status_is_all_that_is_waited_for(client: redis.Redis, settings: Settings) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with dripping(answer) as receiver:
        finished(client, settings, receiver, fails=False)
        due_at_once(client)
        callbacks = caller(client, settings, receiver.host)
        assert callbacks.deliver_one()
    assert receiver.calls == 1
    assert client.zcard(keys.OUTBOX) == 0


def test_a_call_ends_in_time_where_names_are_not_resolved(
    client: redis.Redis,
    settings: Settings,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The resolver answers when the call has been given up for long; that harms nobody."""
    answered, released = threading.Event(), threading.Event()

    def resolve(*_: object, **__: object) -> object:
        released.wait(10)
        answered.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(module, "_CALL_SECONDS", 0.5)
    task_id = finished(client, settings, receiver, fails=False)
    client.hset(keys.task_key(task_id), "callback", "https://receiver.example/")
    due_at_once(client)
    callbacks = caller(client, settings, "receiver.example")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    begin = time.monotonic()
    assert callbacks.deliver_one()
    assert 0.5 <= time.monotonic() - begin < 5
    released.set()
    assert answered.wait(10)
    time.sleep(0.1)
    assert caplog.records == []


def test_a_receiver_that_drips_is_left_alone_for_a_while_and_holds_up_nobody(
    client: redis.Redis,
    settings: Settings,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_CALL_SECONDS", 0.5)
    monkeypatch.setattr(module, "_SLOW_SECONDS", 0.4)
    monkeypatch.setattr(module, "_REST", 10)
    with dripping(b"HTTP/1.1 200 O") as slow:
        tasks = [finished(client, settings, slow, fails=False) for _ in range(3)]
        finished(client, settings, receiver, fails=False)
        due_at_once(client)
        callbacks = caller(client, settings, receiver.host, slow.host)
        while callbacks.deliver_one():
            pass
        assert slow.calls == 1
        assert len(receiver.calls) == 1
        tries = [client.hget(keys.task_key(task_id), "callback_tries") for task_id in tasks]
        assert sorted(tries, key=str) == [None, None, b"1"]
        assert client.zcard(keys.OUTBOX) == 3

        time.sleep(6)
        due_at_once(client)
        callbacks.deliver_one()
        assert slow.calls == 2


@needs_openssl
@pytest.mark.parametrize(
    ("variable", "path"), [("SSL_CERT_FILE", "authority.pem"), ("SSL_CERT_DIR", ".")]
)
def test_a_receiver_is_trusted_whose_authority_is_named_and_called_past_any_proxy(
    client: redis.Redis,
    settings: Settings,
    secure: Receiver,
    authority: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    path: str,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(variable, str(authority / path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    task_id = finished(client, settings, secure, fails=False)
    client.hset(keys.task_key(task_id), "callback", f"https://{secure.host}/done")
    due_at_once(client)
    assert caller(client, settings, secure.host).deliver_one()
    assert len(secure.calls) == 1
    assert client.zcard(keys.OUTBOX) == 0


@needs_openssl
def test_the_log_tells_of_a_receiver_that_is_not_trusted(
    client: redis.Redis,
    settings: Settings,
    secure: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    task_id = finished(client, settings, secure, fails=False)
    client.hset(keys.task_key(task_id), "callback", f"https://{secure.host}/done")
    callbacks = caller(client, settings, secure.host)
    for _ in range(8):
        due_at_once(client)
        callbacks.deliver_one()
    assert secure.calls == []
    assert told(caplog) == [("callback given up", task_id, "SSLCertVerificationError")]


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Return the lines of the log, each with its fields, and see that none has an address."""
    lines = [vars(record) for record in caplog.records]
    assert "127.0.0.1" not in repr(lines)
    return [(line["message"], line["task_id"], line["error"]) for line in lines]


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_can_not_be_used_stops_the_start(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    variables = {
        "SSL_CERT_FILE": str(file),
        "CALLBACK_HOSTS": "pacs.example",
        "CALLBACK_SECRET": SECRET,
    }
    for command in ("serve", "worker"):
        answer = CliRunner().invoke(main, [command], env=variables)
        assert answer.exit_code == 1
        assert answer.output.startswith("Error: SSL_CERT_FILE: expected a file of certificates")


def test_an_answer_of_broken_tls_counts_as_a_try(
    client: redis.Redis, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def post(*_: object) -> bool:
        raise ssl.SSLError("as httpx lets through where bytes after the handshake are none of TLS")

    monkeypatch.setattr(Callbacks, "_post", post)
    task_id = finished(client, settings, receiver, fails=False)
    due_at_once(client)
    assert caller(client, settings, receiver.host).deliver_one()
    assert client.hget(keys.task_key(task_id), "callback_tries") == b"1"


@pytest.mark.parametrize(
    "url",
    [
        " https://pacs.example/x",
        "https://pacs.example/x ",
        "https://other.example/x",
        "http://pacs.example/x",
        "https://pacs.example.evil.example/x",
        "https://pacs.example:8443/x",
        "https://user@pacs.example/x",
        "https://pacs.example/x#y",
        "file:///etc/passwd",
        "//pacs.example/x",
        "https://[pacs.example/x",
        "http://127.0.0.1:6379/x",
        "https://pacs.example/x\n",
        "https://pacs.example/\x01",
        "https://pacs.example/\ud800",
        "https://pacs.example/\N{LATIN SMALL LETTER E WITH ACUTE}",
        f"https://pacs.example/{'x' * 1000}",
    ],
)
def test_addresses_that_are_not_allowed_are_refused(url: str) -> None:
    with pytest.raises(ParameterError, match=r"^callback_url: "):
        checked_url(url, ["pacs.example", "ris.example:8443"])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"https://pacs.example/{'x' * 1000}", "at most 1000 characters, got 1021"),
        ("https://pacs.example/x#y", "without a fragment"),
        ("https://pacs.example/x y", "without blanks"),
        ("https://pacs.example/\N{LATIN SMALL LETTER E WITH ACUTE}", "of printable ASCII"),
        ("https://other.example/x", "one of the hosts that the operator allows"),
        ("http://pacs.example/x", "an https address"),
    ],
)
def test_why_an_address_is_refused_is_told(url: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        checked_url(url, ["pacs.example"])


def test_allowed_addresses_are_taken_as_they_are() -> None:
    hosts = ["pacs.example", "ris.example:8443", "rad.example:443"]
    addresses = ["https://pacs.example/x?y=1", "https://RIS.example:8443/", ""]
    addresses += ["https://pacs.example:443/x", "https://rad.example/", "https://rad.example:443/"]
    for url in addresses:
        assert checked_url(url, hosts) == url
    with pytest.raises(ParameterError):
        checked_url("https://pacs.example/x", [])
