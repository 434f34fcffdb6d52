"""What depends on Redis and the model server may hang instead of dying: monitoring has to say which, and in time."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx

from orchestrator.model import wire_pb2 as wire
from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.redis_server import RedisServer, running_redis

# Prometheus gives up after 10 seconds, a readiness probe of k8s/ after 5.
SCRAPE, PROBE = 9.0, 4.5


@dataclass
class HangingServer(FakeServer):
    """Say that a version is available, and answer no call."""

    released: threading.Event = field(default_factory=threading.Event)

    def predict(
        self, request: wire.PredictRequest, context: grpc.ServicerContext
    ) -> wire.PredictResponse:
        """Wait until the test ends."""
        self.released.wait(60)
        return super().predict(request, context)


@contextmanager
def running(tmp_path: Path) -> Iterator[tuple[RedisServer, httpx.Client]]:
    """Run the API with a Redis of its own."""
    with running_redis(tmp_path / "redis") as redis_server, serving(FakeServer()) as port:
        settings = {"REDIS_URL": redis_server.url, "MODEL_SERVER": f"127.0.0.1:{port}"}
        with running_api(tmp_path / "log", **settings) as client:
            yield redis_server, client


def test_a_redis_that_hangs_is_told_apart_from_an_api_that_is_away(tmp_path: Path) -> None:
    with running(tmp_path) as (redis_server, client):
        assert "cxr_redis_up 1.0" in client.get("/metrics").text
        with redis_server.hanging():
            assert "cxr_redis_up 0.0" in client.get("/metrics", timeout=SCRAPE).text
            for path in ("/health/redis", "/health/workers"):
                assert client.get(path, timeout=PROBE).json()["code"] == "redis_unavailable"


def test_those_who_look_at_a_redis_that_hangs_keep_nobody_from_being_ready(tmp_path: Path) -> None:
    with running(tmp_path) as (redis_server, client), ThreadPoolExecutor(20) as lookers:
        with redis_server.hanging():
            address = f"{client.base_url}/health/redis"
            looks = [lookers.submit(httpx.get, address, timeout=60) for _ in range(20)]
            assert client.get("/health/ready", timeout=PROBE).status_code == 200
        assert {look.result().status_code for look in looks} <= {200, 503}


def test_those_who_ask_a_redis_that_hangs_for_statistics_keep_nobody_from_the_page(
    tmp_path: Path,
) -> None:
    count = 60  # more than anyio has threads
    with running(tmp_path) as (redis_server, client), ThreadPoolExecutor(count) as askers:
        with redis_server.hanging():
            asked = [askers.submit(client.get, "/stats/diseases/summary") for _ in range(count)]
            for _ in range(20):  # until all of them are there
                assert client.get("/static/page/icon.svg", timeout=PROBE).status_code == 200
                time.sleep(0.05)
        assert {each.result().status_code for each in asked} <= {200, 503}


def test_no_request_counts_as_under_way_whose_entry_in_the_trail_waits(tmp_path: Path) -> None:
    with running(tmp_path) as (redis_server, client), redis_server.hanging():
        image = png(gradient(64, 64))
        assert client.post("/densenet_predict", files={"file": image}).status_code == 200
        text = client.get("/metrics", timeout=SCRAPE).text
    assert "cxr_http_requests_in_flight 1.0" in text  # this one alone
    assert 'route="/densenet_predict",status="200"' in text


def test_a_model_server_that_hangs_is_told_apart_from_an_api_that_is_away(tmp_path: Path) -> None:
    fake = HangingServer()
    try:
        with (
            serving(fake) as port,
            running_api(tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}") as client,
        ):
            assert "cxr_model_up 0.0" in client.get("/metrics", timeout=SCRAPE).text
            for path in ("/health/model", "/health/ready"):
                assert client.get(path, timeout=PROBE).status_code == 503
            fake.released.set()
            assert "cxr_model_up 1.0" in client.get("/metrics", timeout=SCRAPE).text
    finally:
        fake.released.set()
