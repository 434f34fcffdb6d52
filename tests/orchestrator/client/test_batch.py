"""Batches of images, against a stand-in of the service."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from orchestrator.client.batch import request_archives
from orchestrator.client.client import ClientError


def answer(request: httpx.Request) -> httpx.Response:
    """Accept a batch of one image, which is done at once."""
    if request.url.path == "/async/batch":
        assert request.read().count(b'name="file"') == 1
        return httpx.Response(202, json={"batch_id": "1"})
    if request.url.path == "/batches/1":
        return httpx.Response(200, json={"tasks": [{"task_id": "1", "status": "SUCCESS"}]})
    return httpx.Response(200, content=b"archive")


def whole(_: int, content: bytes) -> bytes:
    """Keep all of a result."""
    return content


def test_a_file_that_cannot_be_read_does_not_stop_its_batch(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"image")
    images = [tmp_path / "gone.png", tmp_path / "b.png"]
    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        found = dict(request_archives(client, images, {}, whole))
    assert found[1] == b"archive"
    assert isinstance(found[0], ClientError)
    assert "a file that can be read: No such file" in str(found[0])


def test_nothing_is_sent_of_files_that_all_cannot_be_read(tmp_path: Path) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing to send")

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(refuse)) as client:
        found = list(request_archives(client, [tmp_path / "gone.png"], {}, whole))
    assert [place for place, _ in found] == [0]


def test_an_image_that_is_too_large_is_refused_alone(tmp_path: Path) -> None:
    batches: list[list[bytes]] = []
    keys: set[str] = set()

    def read(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(204)
        if request.method == "GET":
            name = request.url.path.split("/")[2]
            if request.url.path.startswith("/tasks/"):
                return httpx.Response(200, content=name.encode())
            sent = batches[int(name)]
            tasks = [{"task_id": each.decode(), "status": "SUCCESS"} for each in sent]
            return httpx.Response(200, json={"tasks": tasks})
        keys.add(request.headers["Idempotency-Key"])
        batches.append(re.findall(rb"\r\n\r\n(image[0-9]+)\r\n", request.read()))
        if b"image3" in batches[-1]:
            return httpx.Response(413, json={"detail": "too large"})
        return httpx.Response(202, json={"batch_id": f"{len(batches) - 1}"})

    images = [tmp_path / f"{number}.png" for number in range(5)]
    for number, image in enumerate(images):
        image.write_bytes(f"image{number}".encode())
    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(read)) as client:
        found = dict(request_archives(client, images, {}, whole))
    assert str(found.pop(3)) == "status 413: too large"
    assert found == {number: f"image{number}".encode() for number in (0, 1, 2, 4)}
    assert [len(batch) for batch in batches] == [5, 2, 3, 1, 2, 1, 1]
    assert len(keys) == len(batches)


def test_a_zip_among_the_images_is_refused_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"PK\x03\x04")
    (tmp_path / "b.png").write_bytes(b"image")
    images = [tmp_path / "a.png", tmp_path / "b.png"]
    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        found = dict(request_archives(client, images, {}, whole))
    assert str(found[0]) == "expected an image, got a ZIP; unpack it"
    assert found[1] == b"archive"


def four_images(folder: Path) -> list[Path]:
    images = [folder / f"{number}.png" for number in range(4)]
    for image in images:
        image.write_bytes(b"image")
    return images


def batch_of_four(
    refusal: httpx.Response, is_refused: Callable[[int], bool]
) -> Callable[[httpx.Request], httpx.Response]:
    """Return what accepts a batch, of which one more task is done at each look, and refuses some of the reads."""
    reads: list[str] = []

    def read(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/async/batch":
            return httpx.Response(202, json={"batch_id": "1"})
        if request.method == "DELETE":
            return httpx.Response(204)
        reads.append(request.url.path)
        if is_refused(len(reads)):
            return refusal
        if request.url.path == "/batches/1":
            done = reads.count("/batches/1")
            states = ["SUCCESS" if index < done else "PENDING" for index in range(4)]
            tasks = [{"task_id": str(index), "status": each} for index, each in enumerate(states)]
            return httpx.Response(200, json={"tasks": tasks})
        return httpx.Response(200, content=request.url.path.encode())

    return read


def test_tasks_are_deleted_once_their_results_have_been_taken(tmp_path: Path) -> None:
    deleted: list[str] = []
    states = ["SUCCESS", "FAILURE", "SUCCESS", "SUCCESS"]

    def read(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            deleted.append(request.url.path)
            raise httpx.ReadError("away")
        if request.url.path == "/async/batch":
            return httpx.Response(202, json={"batch_id": "1"})
        if request.url.path == "/batches/1":
            tasks = [{"task_id": str(index), "status": each} for index, each in enumerate(states)]
            return httpx.Response(200, json={"tasks": tasks})
        is_last = request.url.path == "/tasks/3/result"
        return httpx.Response(403 if is_last else 200, content=b"archive")

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(read)) as client:
        answers = request_archives(client, four_images(tmp_path), {}, whole)
        assert next(answers) == (0, b"archive")
        assert deleted == []
        assert [index for index, _ in answers] == [1, 2, 3]
    assert deleted == ["/tasks/0", "/tasks/2"]


def test_a_result_that_can_not_be_kept_stays_at_the_service(tmp_path: Path) -> None:
    deleted: list[str] = []
    answers = batch_of_four(httpx.Response(500), lambda _: False)

    def read(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            deleted.append(request.url.path)
            return httpx.Response(204)
        return answers(request)

    def keep(place: int, content: bytes) -> bytes | ClientError:
        return ClientError("no space left") if place % 2 else content

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(read)) as client:
        found = dict(request_archives(client, four_images(tmp_path), {}, keep))
    assert [isinstance(found[place], ClientError) for place in range(4)] == [False, True] * 2
    assert deleted == ["/tasks/0", "/tasks/2"]


def test_a_service_that_is_asked_too_often_is_asked_again_when_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("orchestrator.client.batch.time.sleep", waits.append)
    refusal = httpx.Response(429, headers={"Retry-After": "13"}, json={"detail": "too often"})
    transport = httpx.MockTransport(batch_of_four(refusal, lambda read: read % 10 > 0))
    with httpx.Client(base_url="http://service", transport=transport) as client:
        found = dict(request_archives(client, four_images(tmp_path), {}, whole))
    assert found == {index: f"/tasks/{index}/result".encode() for index in range(4)}
    assert waits.count(13.0) == 9 * 5  # for one look and four results


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(403, json={"detail": "no scope"}),
        httpx.Response(429, headers={"Retry-After": "0"}, json={"detail": "no scope"}),
        httpx.Response(429, headers={"Retry-After": "86400"}, json={"detail": "no scope"}),
        httpx.Response(200, content=b"<html>no scope"),
    ],
)
def test_images_whose_state_is_not_told_any_more_get_the_reason(
    refusal: httpx.Response, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.client.batch.time.sleep", lambda _: None)
    transport = httpx.MockTransport(batch_of_four(refusal, lambda read: read > 2))
    with httpx.Client(base_url="http://service", transport=transport) as client:
        found = dict(request_archives(client, four_images(tmp_path), {}, whole))
    assert found[0] == b"/tasks/0/result"
    assert [type(found[index]) for index in (1, 2, 3)] == [ClientError] * 3
    assert "no scope" in str(found[1]) or "is this the service" in str(found[1])


def test_an_answer_that_is_no_batch_is_none(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>"))
    with httpx.Client(base_url="http://service", transport=transport) as client:
        found = dict(request_archives(client, four_images(tmp_path), {}, whole))
    assert ["is this the service" in str(found[index]) for index in range(4)] == [True] * 4


@pytest.mark.parametrize("kind", ["away", "failing"])
def test_a_service_that_is_away_for_a_while_is_waited_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("orchestrator.client.batch.time.sleep", waits.append)
    fine = batch_of_four(httpx.Response(500), lambda _: False)
    reads = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal reads
        reads += request.method == "GET"
        if request.method == "GET" and reads % 10:
            if kind == "away":
                raise httpx.ConnectError("refused")
            return httpx.Response(503, json={"detail": "no Redis"})
        return fine(request)

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        found = dict(request_archives(client, four_images(tmp_path), {}, whole))
    assert found == {index: f"/tasks/{index}/result".encode() for index in range(4)}
    assert len(waits) >= 9 * 8


@pytest.mark.parametrize(
    ("kind", "why"), [("away", "no answer from http"), ("failing", "no Redis")]
)
def test_a_service_that_stays_away_is_given_up_with_the_reason(
    kind: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.client.batch.time.sleep", lambda _: None)
    monkeypatch.setattr("orchestrator.client.batch._MOST_SILENCE", 0.2)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={"batch_id": "1"})
        if kind == "away":
            raise httpx.ConnectError("refused")
        return httpx.Response(503, json={"detail": "no Redis"})

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        found = dict(request_archives(client, four_images(tmp_path), {}, whole))
    assert [why in str(found[index]) for index in range(4)] == [True] * 4
