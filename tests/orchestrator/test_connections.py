"""Slow clients, as real sockets, against the real server."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from orchestrator.connections import SPARE
from tests.support.api import running_api
from tests.support.ports import free_port
from tests.support.waiting import eventually

CONNECTIONS = 12
ANSWERS = 4  # of 1.7 MB each: more than a kernel takes
EXPECTING = b"Host: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEALTH_WITHOUT_BODY = HEALTH.replace(b"GET", b"HEAD")
JSON = b"Content-Type: application/json\r\n\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "HEAD_TIMEOUT": "1",
        "KEEP_ALIVE": "3",
        "BODY_TIMEOUT": "1",
        "SEND_TIMEOUT": "1",
        "CONNECTIONS": str(CONNECTIONS),
    }
    with running_api(tmp_path_factory.mktemp("slow") / "log", **settings) as client:
        yield client


def connect(api: httpx.Client) -> socket.socket:
    return socket.create_connection((api.base_url.host, api.base_url.port or 0), timeout=30)


def drip(client: socket.socket, piece: bytes = b"x") -> bytes:
    """Send a piece now and then until the server has closed the connection; return what it answered."""
    client.settimeout(0.1)
    answer = b""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            client.sendall(piece)
            received = client.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return answer
        if not received:
            return answer
        answer += received
    raise AssertionError("the connection is still open")


def statuses(client: socket.socket, count: int) -> list[int]:
    """Read so many answers, or what comes before the connection is closed, and return their statuses."""
    answers = b""
    found: list[int] = []
    while len(found) < count and (received := client.recv(65536)):
        answers += received
        found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]
    return found


def is_open(client: socket.socket) -> bool:
    """Tell whether the server still holds its end of a connection."""
    port = client.getsockname()[1]
    return any(
        each.raddr and each.raddr.port == port and each.status != psutil.CONN_TIME_WAIT
        for each in psutil.net_connections("tcp4")
        if each.pid is not None and each.laddr.port == client.getpeername()[1]
    )


def test_a_head_that_drips_in_is_not_waited_for(api: httpx.Client) -> None:
    with connect(api) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert drip(client) == b""


def test_whoever_says_nothing_is_not_waited_for(api: httpx.Client) -> None:
    with connect(api) as client:
        assert client.recv(10) == b""


def test_a_second_head_that_drips_in_is_not_waited_for_either(api: httpx.Client) -> None:
    with connect(api) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in client.recv(65536)
        client.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        drip(client)


def test_a_connection_may_rest_between_requests_for_longer_than_a_head_may_take(
    api: httpx.Client,
) -> None:
    with connect(api) as client:
        for _ in range(2):
            client.sendall(HEALTH_WITHOUT_BODY)
            assert statuses(client, 1) == [200]
            time.sleep(1.5)
        assert is_open(client)
        assert client.recv(10) == b""  # in the end it is closed all the same


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/densenet_predict", "multipart/form-data; boundary=b"),
        ("/v2/densenet_predict", "application/json"),
        ("/async/batch", "multipart/form-data; boundary=b"),
    ],
)
@pytest.mark.parametrize("size", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips_in_is_answered_408(
    api: httpx.Client, path: str, content_type: str, size: str
) -> None:
    with connect(api) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n{size}\r\n\r\n"
        client.sendall(head.encode())
        begin = PART if "multipart" in content_type else b" "
        if "chunked" in size:
            client.sendall(b"%x\r\n%b\r\n" % (len(begin), begin))
            answer = drip(client, b"1\r\n \r\n")
        else:
            client.sendall(begin)
            answer = drip(client, b" ")
    head_, _, body = answer.partition(b"\r\n\r\n")
    assert head_.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head_.lower()
    assert json.loads(body)["code"] == "request_timeout"


def test_a_body_that_nobody_waits_for_does_not_hold_the_connection(api: httpx.Client) -> None:
    with connect(api) as client:
        client.sendall(
            b"POST /densenet_predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        )
        assert b" 415 " in drip(client)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /densenet_predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
        b"POST /densenet_predict HTTP/1.0\r\n",
        b"POST /densenet_predict HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_whoever_sends_all_of_a_body_before_it_reads_sees_that_it_was_refused(
    api: httpx.Client, head: bytes
) -> None:
    with connect(api) as client:
        client.sendall(head + b"Content-Length: 20000000\r\n\r\n")
        for _ in range(20):  # more than lies in any buffer
            time.sleep(0.02)
            client.sendall(bytes(1_000_000))
        assert statuses(client, 1) == [415]


def test_a_refused_body_that_still_comes_keeps_nobody_else_from_being_served(
    tmp_path: Path,
) -> None:
    settings = {"MAX_UPLOAD_BYTES": "100000", "BODY_BYTES": "150000", "HEAD_TIMEOUT": "60"}
    log = tmp_path / "log"
    with running_api(log, **settings) as api:
        refused = connect(api)
        head = b"POST /v2/densenet_predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        refused.sendall(head + JSON)
        for _ in range(60):
            refused.sendall(b"%x\r\n%b\r\n" % (10_000, b" " * 10_000))
            time.sleep(0.01)
        assert statuses(refused, 1) == [413]
        refused.sendall(b"1\r\n \r\n")
        json_ = {"Content-Type": "application/json"}
        other = api.post("/v2/densenet_predict", content=b" " * 100_000, headers=json_)
        assert other.status_code == 400  # and not 503: there is room for its body
        assert "cxr_http_requests_in_flight 1.0" in api.get("/metrics").text  # which is this one
    # The process has ended before HEAD_TIMEOUT was over, or the block would have failed
    refused.close()
    assert [line for line in log.read_text().splitlines() if '"level":"error"' in line] == []


def test_a_head_that_has_begun_with_the_request_before_is_waited_for_as_others_are(
    tmp_path: Path,
) -> None:
    with running_api(tmp_path / "log", HEAD_TIMEOUT="1") as api, connect(api) as client:
        client.sendall(HEALTH_WITHOUT_BODY + b"GET /health HTTP/1.1\r\n")
        assert statuses(client, 1) == [200]
        assert (
            client.recv(10) == b""
        )  # within the half minute that the socket waits, as KEEP_ALIVE is longer


@pytest.mark.parametrize(
    ("line", "size", "status"),
    [
        (b"POST /nowhere", 5, 404),
        (b"PUT /v2/densenet_predict", 5, 405),
        (b"POST /v2/densenet_predict", 10**9, 413),
        (b"POST /densenet_predict", 5, 415),
    ],
)
def test_whoever_is_refused_before_sending_a_body_is_not_waited_for(
    api: httpx.Client, line: bytes, size: int, status: int
) -> None:
    """Its next request would be taken for the body that it was spared."""
    with connect(api) as client:
        client.sendall(line + b" HTTP/1.1\r\n" + EXPECTING % size + JSON)
        with client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in head.lower()
    assert json.loads(body)["status"] == status


def test_a_body_that_is_asked_for_leaves_the_connection_open(api: httpx.Client) -> None:
    with connect(api) as client:
        client.sendall(b"POST /v2/densenet_predict HTTP/1.1\r\n" + EXPECTING % 5 + JSON)
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello" + HEALTH)
        assert statuses(client, 2) == [400, 200]


def test_so_does_one_that_comes_unasked_and_is_refused(api: httpx.Client) -> None:
    with connect(api) as client:
        head = b"POST /densenet_predict HTTP/1.1\r\n" + EXPECTING % 5 + JSON
        client.sendall(head + b"hello" + HEALTH)
        assert statuses(client, 2) == [415, 200]


def test_an_offer_to_speak_http_2_is_passed_over_without_a_word(tmp_path: Path) -> None:
    """Java's client makes it with each request, as does ``curl --http2``."""
    log = tmp_path / "log"
    offer = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAEAAEAA",
    }
    with running_api(log, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0") as api:
        assert api.get("/health", headers=offer).status_code == 200
        assert api.post("/densenet_predict", content=b"hello", headers=offer).status_code == 415
        assert api.get("/health").status_code == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    of_uvicorn = [line for line in lines if line["logger"] == "uvicorn.error"]
    assert of_uvicorn
    assert [line["message"] for line in of_uvicorn if line["level"] != "info"] == []


def test_a_body_that_comes_late_but_steadily_is_taken(api: httpx.Client) -> None:
    with connect(api) as client:
        client.sendall(
            b"POST /v2/densenet_predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 400000\r\n\r\n"
        )
        for _ in range(20):  # two seconds and more, at 20 times the least rate
            client.sendall(b" " * 20_000)
            time.sleep(0.1)
        assert b" 400 " in client.recv(65536)


def test_so_is_one_whose_head_came_with_the_request_before(api: httpx.Client) -> None:
    with connect(api) as client:
        client.sendall(
            HEALTH_WITHOUT_BODY
            + b"POST /v2/densenet_predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n"
            + JSON
        )
        for _ in range(20):  # two seconds and more
            client.sendall(b" " * 20_000)
            time.sleep(0.1)
        assert statuses(client, 2) == [200, 400]


def test_an_answer_that_nobody_reads_is_not_kept(api: httpx.Client) -> None:
    with connect(api) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = b"GET /static/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sendall(asked * 20)
        assert client.recv(1) == b"H"
        assert is_open(client)
        eventually(lambda: not is_open(client))


def test_an_answer_that_is_read_slowly_but_steadily_comes_whole(api: httpx.Client) -> None:
    path = "/static/docs/swagger-ui-bundle.js"
    size = len(api.get(path).content)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.settimeout(30)
        client.connect((api.base_url.host, api.base_url.port or 0))
        asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        client.sendall(asked * ANSWERS)
        answers = b""
        while len(answers) < ANSWERS * size:
            time.sleep(0.02)  # 200 of these: a multiple of what is allowed without taking anything
            piece = client.recv(ANSWERS * size // 200)
            assert piece, f"cut off after {len(answers)} bytes"
            answers += piece
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == ANSWERS


def test_more_connections_than_there_may_be_are_refused_at_once_and_not_for_long(
    api: httpx.Client,
) -> None:
    api.get("/health")
    idle = [connect(api) for _ in range(CONNECTIONS + SPARE + 3)]
    answers = []
    for client in idle:
        answers.append(client.recv(65536))
        client.close()
    refused = [answer for answer in answers if answer]
    assert len(refused) >= 3
    for answer in refused:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body)["code"] == "busy"
        assert b"retry-after: 1" in head.lower()
    with httpx.Client(base_url=api.base_url) as other:
        assert other.get("/health").status_code == 200


def test_a_full_process_still_tells_its_health_and_counts_whom_it_refuses(tmp_path: Path) -> None:
    settings = {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "HEAD_TIMEOUT": "60",
        "CONNECTIONS": "4",
    }
    with running_api(tmp_path / "log", **settings) as api:
        crowd = [connect(api) for _ in range(5)]
        with httpx.Client(base_url=api.base_url) as spare:
            assert spare.get("/health").status_code == 200
            refused = spare.post("/densenet_predict", files={"file": bytes(100_000)})
            assert refused.status_code == 503
            assert refused.json()["code"] == "busy"
            assert refused.headers["Retry-After"] == "1"
            assert refused.headers["Content-Type"] == "application/problem+json"
            for client in crowd:
                client.close()
            eventually(lambda: spare.get("/nowhere").status_code == 404)
            refusals = [
                float(line.split()[1])
                for line in spare.get("/metrics").text.splitlines()
                if line.startswith("cxr_connections_refused_total")
            ]
            assert len(refusals) == 1
            assert refusals[0] >= 1


def test_those_that_rest_make_room_for_those_that_come_the_longest_first(tmp_path: Path) -> None:
    settings = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0", "CONNECTIONS": "4"}
    with running_api(tmp_path / "log", **settings) as api:
        api.close()  # and with it the connection that has seen it start
        address = (api.base_url.host, api.base_url.port or 0)
        crowd = [socket.create_connection(address, timeout=30) for _ in range(4)]
        for client in (crowd[1], crowd[0], crowd[2]):  # the last has not asked for anything yet
            client.sendall(HEALTH_WITHOUT_BODY)
            assert statuses(client, 1) == [200]
        others = [socket.create_connection(address, timeout=30) for _ in range(2)]
        for client in [*others, crowd[2], crowd[3]]:
            client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert statuses(client, 1) == [404]
        for client in crowd[:2]:
            assert client.recv(10) == b""
        for client in [*crowd, *others]:
            client.close()


def test_a_slow_crowd_does_not_keep_others_out(api: httpx.Client, tmp_path: Path) -> None:
    crowd = [connect(api) for _ in range(CONNECTIONS - 2)]
    for client in crowd:
        client.sendall(b"POST /densenet_predict HTTP/1.1\r\n")
    for _ in range(5):
        with httpx.Client(base_url=api.base_url) as other:
            assert other.get("/health").status_code == 200
    for client in crowd:
        assert drip(client) == b""
        client.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_any_address_is_one_of_ipv4_and_of_ipv6(tmp_path: Path) -> None:
    with running_api(tmp_path / "log", HOST="::", ACCESS="open") as client:
        port = client.base_url.port
        for host in ("127.0.0.1", "[::1]"):
            assert httpx.get(f"http://{host}:{port}/health").status_code == 200
    (told,) = [line for line in (tmp_path / "log").read_text().splitlines() if "listening" in line]
    assert json.loads(told)["port"] == port


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_a_port_that_is_taken_is_told(host: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serve(tmp_path, HOST=host, PORT=port)
    assert done.returncode == 1
    assert "HOST, PORT: " in done.stderr
    assert f"got {host} and {port} (Address already in use); set another" in done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "name.invalid"])
def test_so_is_an_address_of_another_machine(host: str, tmp_path: Path) -> None:
    done = serve(tmp_path, HOST=host)
    assert done.returncode == 1
    assert "HOST, PORT: expected an address of this machine" in done.stderr
    assert f"got {host} and " in done.stderr


def serve(data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run ``cxr serve`` with settings that end it."""
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "serve"],
        env={**os.environ, "DATA_DIR": str(data_dir), "ACCESS": "open", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
