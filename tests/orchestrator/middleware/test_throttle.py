import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.keys import ADMIN, API_KEYS, PREDICT, READ, bearer
from tests.support.ports import free_port
from tests.support.redis_server import running_redis

IMAGE = png(gradient(64, 64))
NAMES = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    """Run the API with limits that last for the test."""
    with running_redis(tmp_path / "redis") as redis, serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "REDIS_URL": redis.url,
            "API_KEYS": API_KEYS,
            "RATE_LIMIT": "4/day",
            "RATE_LIMIT_READ": "2/day",
        }
        with running_api(tmp_path / "log", **settings) as client:
            yield client


def post(api: httpx.Client, path: str, key: str, count: int = 1) -> httpx.Response:
    return api.post(path, files=[("file", IMAGE)] * count, headers=bearer(key))


def test_every_key_has_its_own_limits_for_images_and_for_the_rest(api: httpx.Client) -> None:
    found = [post(api, "/densenet_predict", PREDICT) for _ in range(5)]
    assert [answer.status_code for answer in found] == [200, 200, 200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in found] == ["3", "2", "1", "0", "0"]
    assert {answer.headers["ratelimit-limit"] for answer in found} == {"4"}
    refused = found[-1]
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["content-type"] == "application/problem+json"
    reset = int(refused.headers["ratelimit-reset"])
    assert (time.time() + reset + 3600) % 86_400 == pytest.approx(3600, abs=60)  # it is midnight
    # A quarter of the day that follows, until one of four has gone
    assert int(refused.headers["retry-after"]) - reset == pytest.approx(21_600, abs=1)
    assert post(api, "/densenet_predict", ADMIN).status_code == 200

    for method in ("GET", "DELETE"):
        rest = api.request(method, "/tasks/none", headers=bearer(PREDICT))
        assert (rest.status_code, rest.headers["ratelimit-limit"]) == (404, "2")
    stats = [api.get("/stats/diseases/summary", headers=bearer(READ)) for _ in range(3)]
    assert [answer.status_code for answer in stats] == [200, 200, 429]
    assert stats[0].headers["ratelimit-limit"] == "2"
    # What needs no key is never refused
    for _ in range(3):
        answer = api.get("/health/redis")
        assert answer.status_code == 200
        assert not set(NAMES) & set(answer.headers)


def test_what_a_key_does_not_open_counts_with_the_rest(api: httpx.Client) -> None:
    found = [post(api, "/densenet_predict", READ) for _ in range(3)]
    assert [answer.status_code for answer in found] == [403, 403, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in found] == ["1", "0", "0"]
    assert api.get("/stats/diseases/summary", headers=bearer(READ)).status_code == 429
    # Without a key there is nobody to count
    for _ in range(3):
        assert api.get("/stats/diseases/summary").status_code == 401


def test_a_refusal_is_logged_and_measured_under_its_route(api: httpx.Client) -> None:
    for _ in range(3):
        answer = api.get("/tasks/none", headers=bearer(PREDICT))
    assert answer.status_code == 429
    figures = api.get("/metrics", headers=bearer(ADMIN)).text
    assert 'cxr_http_problems_total{code="rate_limited",route="/tasks/{task_id}"} 1.0' in figures


def test_a_batch_counts_as_its_images(api: httpx.Client) -> None:
    batch = post(api, "/async/batch", PREDICT, 3)
    assert (batch.status_code, batch.headers["ratelimit-remaining"]) == (202, "1")
    assert post(api, "/async/batch", PREDICT, 6).headers["ratelimit-remaining"] == "0"
    assert post(api, "/async/densenet_predict", PREDICT).status_code == 429


def test_a_batch_that_was_accepted_before_counts_as_one_request(api: httpx.Client) -> None:
    key = bearer(PREDICT) | {"Idempotency-Key": "night"}
    files = [("file", IMAGE)] * 2
    found = [api.post("/async/batch", files=files, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in found] == [202, 202]
    assert found[0].json()["batch_id"] == found[1].json()["batch_id"]
    assert [answer.headers["ratelimit-remaining"] for answer in found] == ["2", "1"]


def test_where_access_is_open_addresses_are_counted(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as redis:
        settings = {"REDIS_URL": redis.url, "RATE_LIMIT_READ": "1/day"}
        with running_api(tmp_path / "log", **settings) as client:
            found = [client.get("/tasks/none").status_code for _ in range(2)]
            assert found == [404, 429]
            forwarded = {"X-Forwarded-For": "192.0.2.1"}  # a proxy on loopback is believed
            assert client.get("/tasks/none", headers=forwarded).status_code == 404
            assert client.get("/health").status_code == 200


def test_without_redis_images_are_analysed_all_the_same(tmp_path: Path) -> None:
    with serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "RATE_LIMIT": "1/day",
        }
        with running_api(tmp_path / "log", **settings) as client:
            found = [client.post("/densenet_predict", files={"file": IMAGE}) for _ in range(3)]
            assert [answer.status_code for answer in found] == [200, 200, 200]
            assert "cxr_rate_limit_missed_total 3.0" in client.get("/metrics").text
    assert (tmp_path / "log").read_text().count("rate limits pause") == 1
