"""Batches of images, against a stand-in of the service."""

from pathlib import Path

import httpx

from orchestrator.batch_client import request_archives
from orchestrator.client import ClientError


def answer(request: httpx.Request) -> httpx.Response:
    """Accept a batch of one image, which is done at once."""
    if request.url.path == "/async/batch":
        assert request.read().count(b'name="file"') == 1
        return httpx.Response(202, json={"status_url": "/batches/1"})
    if request.url.path == "/batches/1":
        return httpx.Response(200, json={"tasks": [{"task_id": "1", "status": "SUCCESS"}]})
    return httpx.Response(200, content=b"archive")


def test_a_file_that_cannot_be_read_does_not_stop_its_batch(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"image")
    images = [tmp_path / "gone.png", tmp_path / "b.png"]
    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(answer)) as client:
        found = dict(request_archives(client, images, {}))
    assert found[1] == b"archive"
    assert isinstance(found[0], ClientError)
    assert "a file that can be read: No such file" in str(found[0])


def test_nothing_is_sent_of_files_that_all_cannot_be_read(tmp_path: Path) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing to send")

    with httpx.Client(base_url="http://service", transport=httpx.MockTransport(refuse)) as client:
        found = list(request_archives(client, [tmp_path / "gone.png"], {}))
    assert [place for place, _ in found] == [0]
