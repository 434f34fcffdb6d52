"""What reading JSON bodies takes in memory; what they may hold is in test_hosted and test_bad_input."""

import base64
import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import anyio
from starlette.requests import Request
from starlette.types import Message

from orchestrator.routes.bodies import receive_json_upload
from orchestrator.settings import Settings

IMAGE = os.urandom(6_000_000)
BODY = json.dumps({"image": base64.b64encode(IMAGE).decode()}).encode()


def request() -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": BODY}

    headers = [(b"content-type", b"application/json")]
    state = {"services": SimpleNamespace(settings=Settings())}
    scope = {"type": "http", "headers": headers, "query_string": b"", "state": state}
    return Request(scope, receive)


def test_bodies_that_come_together_are_read_one_at_a_time() -> None:
    reads = [anyio.run(receive_json_upload, request()) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        tracemalloc.start()
        try:
            found = [each.result() for each in [threads.submit(read) for read in reads]]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert [image for image, _, _ in found] == [IMAGE] * 8
    # Eight images, and beside the last of them its text three times: as it came, without padding, as bytes
    most = 8 * len(IMAGE) + 4 * len(BODY)
    assert peak < most
