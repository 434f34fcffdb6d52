"""The lines before the threads of the API: who waits for whom, and who is turned away."""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import grpc
import httpx
import numpy as np
import pytest
import redis

from orchestrator.errors import BusyError, StoreUnavailableError
from orchestrator.jobs.wiring import create_ledger
from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire
from orchestrator.settings import Settings
from orchestrator.threads import BoundedThreads
from tests.support.api import running_api
from tests.support.cloudinary_server import API_KEY, API_SECRET, CLOUD, cloudinary_server
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import png
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

FULL = "as many {} are under way as this server takes at once; try again shortly"


@dataclass
class SilentServer(FakeServer):
    """Answer no analysis before the test says so; note the gray of each image that comes."""

    released: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    seen: list[int] = field(default_factory=list)

    def predict(
        self, request: wire.PredictRequest, context: grpc.ServicerContext
    ) -> wire.PredictResponse:
        if request.model_spec.signature_name != "describe":
            self.seen.append(int(tensors.decode(request.inputs["image"]).mean()))
            self.released.acquire(timeout=60)
        return super().predict(request, context)


@dataclass
class Running:
    """An API whose model server is silent."""

    client: httpx.Client
    model: SilentServer
    callers: ThreadPoolExecutor
    redis_url: str

    def post(self, path: str, gray: int = 100) -> httpx.Response:
        """Send a gray image the way that a path takes it."""
        image = png(np.full((64, 64), gray, np.uint8))
        if "/v2/" in path:
            return self.client.post(path, json={"image": base64.b64encode(image).decode()})
        return self.client.post(path, files={"file": image})

    def wait_for_line(self, waiting: int) -> None:
        """Wait until one analysis is with the model, and others wait behind it."""
        line = f'cxr_threads_waiting{{pool="analyses"}} {waiting}.0'
        eventually(lambda: bool(self.model.seen) and line in self.client.get("/metrics").text)


@contextmanager
def running(tmp_path: Path, **settings: str) -> Iterator[Running]:
    """Run an API with a Redis of its own and one thread for analyses."""
    model = SilentServer()
    with (
        running_redis(tmp_path / "redis") as queue,
        serving(model) as port,
        running_api(
            tmp_path / "log", REDIS_URL=queue.url, MODEL_SERVER=f"127.0.0.1:{port}", **settings
        ) as client,
        ThreadPoolExecutor(8) as callers,
    ):
        try:
            yield Running(client, model, callers, queue.url)
        finally:
            model.released.release(100)


def test_a_submission_does_not_wait_behind_analyses(tmp_path: Path) -> None:
    with running(tmp_path, REQUEST_THREADS="1", REQUEST_QUEUE="1") as api:
        analyses = [api.callers.submit(api.post, "/densenet_predict") for _ in range(2)]
        api.wait_for_line(1)
        refused = api.post("/v2/densenet_predict").json()
        assert (refused["code"], refused["detail"]) == ("busy", FULL.format("analyses"))
        assert api.post("/async/densenet_predict").status_code == 202
        assert api.post("/async/v2/densenet_predict").status_code == 202
        api.model.released.release(2)
        assert [each.result().status_code for each in analyses] == [200, 200]


def test_an_image_in_json_waits_in_line_once(tmp_path: Path) -> None:
    with running(tmp_path, REQUEST_THREADS="1", REQUEST_QUEUE="2") as api:
        analyses = [api.callers.submit(api.post, "/densenet_predict", 100)]
        api.wait_for_line(0)
        analyses.append(api.callers.submit(api.post, "/v2/densenet_predict", 150))
        api.wait_for_line(1)
        analyses.append(api.callers.submit(api.post, "/densenet_predict", 200))
        api.wait_for_line(2)
        api.model.released.release(3)
        assert [each.result().status_code for each in analyses] == [200, 200, 200]
    assert api.model.seen == [100, 150, 200]


def test_nobody_who_asks_for_a_task_waits_for_deletions_that_hang(tmp_path: Path) -> None:
    """A store that does not answer may keep the threads of deletions, and those alone."""
    count = 20  # more than the API has threads for tasks
    with cloudinary_server() as cloud, ThreadPoolExecutor(count) as callers:
        account = {
            "CLOUDINARY_CLOUD_NAME": CLOUD,
            "CLOUDINARY_API_KEY": API_KEY,
            "CLOUDINARY_API_SECRET": API_SECRET,
            "CLOUDINARY_UPLOAD_PREFIX": cloud.url,
        }
        with running(tmp_path, **account) as api:
            accepted = [api.post("/async/v2/densenet_predict").json() for _ in range(count)]
            with redis.Redis.from_url(api.redis_url) as client:
                ledger = create_ledger(Settings(), client)
                for task in accepted:
                    ledger.begin(task["task_id"])
                    ledger.fail(task["task_id"], StoreUnavailableError("it was away"))
            paths = [task["status_url"] for task in accepted]
            cloud.delay = 3
            deletions = [callers.submit(api.client.delete, path) for path in paths]
            line = f'cxr_threads_waiting{{pool="deletions"}} {count - 4}.0'
            eventually(lambda: line in api.client.get("/metrics").text)
            assert api.client.get(paths[0]).json()["status"] == "FAILURE"
            assert not any(each.done() for each in deletions)
            cloud.delay = 0
            assert {each.result().status_code for each in deletions} == {204}


def test_whoever_finds_the_line_full_is_told_of_what_there_is_too_much() -> None:
    pool = BoundedThreads(1, 1, "looks at Redis")
    over = threading.Event()

    async def three() -> str:
        async with anyio.create_task_group() as first_two:
            for _ in range(2):
                first_two.start_soon(pool.run, over.wait)
            await anyio.wait_all_tasks_blocked()
            assert (pool.busy, pool.waiting) == (1, 1)
            with pytest.raises(BusyError) as refused:
                await pool.run(over.wait)
            over.set()
        return refused.value.detail

    assert anyio.run(three) == FULL.format("looks at Redis")
    assert (pool.busy, pool.waiting) == (0, 0)


def test_where_nobody_may_wait_whoever_finds_a_thread_free_is_served() -> None:
    pool = BoundedThreads(1, 0, "analyses")
    over = threading.Event()

    async def two() -> list[bool]:
        async with anyio.create_task_group() as first:
            first.start_soon(pool.run, over.wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(BusyError):
                await pool.run(over.wait)
            over.set()
        return [await pool.run(over.is_set)]

    assert anyio.run(two) == [True]
