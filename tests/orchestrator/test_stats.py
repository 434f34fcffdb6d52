"""The paths of the statistics, to real processes: what was sent is counted, bad queries are refused."""

import base64
import csv
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from orchestrator.errors import NotAcceptableError
from orchestrator.routes.negotiation import negotiate
from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, running_redis

SOUND = png(gradient(64, 64))
ENCODED = base64.b64encode(SOUND).decode()
OFFERED = ("application/json", "text/csv", "image/svg+xml")
# What the fake model server answers, whatever it gets
EDEMA = {"label": "Edema", "mean_probability": 0.75}
MASS = {"label": "Mass", "mean_probability": 0.125}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def api(tmp_path: Path, redis: RedisServer) -> Iterator[httpx.Client]:
    with (
        serving(FakeServer()) as port,
        running_api(
            tmp_path / "log", MODEL_SERVER=f"127.0.0.1:{port}", REDIS_URL=redis.url
        ) as client,
    ):
        yield client
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.fixture(scope="module")
def without_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("api") / "log"
    settings = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with (
        serving(FakeServer()) as port,
        running_api(log, MODEL_SERVER=f"127.0.0.1:{port}", **settings) as client,
    ):
        yield client
    assert "Traceback" not in log.read_text()


def delay(client: httpx.Client) -> float:
    (found,) = [
        line.split()[1]
        for line in client.get("/metrics").text.splitlines()
        if line.startswith("cxr_statistics_delay_seconds ")
    ]
    return float(found)


def today() -> date:
    return datetime.now(UTC).date()


def analyse(api: httpx.Client, count: int) -> None:
    """Send images to both synchronous paths in turns, four at a time, with some that fail between them."""

    def send(number: int) -> int:
        match number % 3:
            case 0:
                return api.post("/densenet_predict", files={"file": SOUND}).status_code
            case 1:
                return api.post("/v2/densenet_predict", json={"image": ENCODED}).status_code
        return api.post("/v2/densenet_predict", json={"image": "AAAA"}).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(send, range(3 * count)))
    assert statuses.count(200) == 2 * count


def figures(api: httpx.Client, path: str, **query: Any) -> Any:
    response = api.get(f"/stats/diseases/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_what_was_answered_is_counted_in_every_view(api: httpx.Client) -> None:
    assert figures(api, "summary")["analyses"] == 0
    analyse(api, 6)
    summary = figures(api, "summary")
    assert summary["analyses"] == 12
    assert summary["labels"] == [
        EDEMA | {"analyses": 12, "positives": 12},
        MASS | {"analyses": 12, "positives": 0},
    ]
    assert summary["models"] == [{"name": "densenet", "version": 1, "analyses": 12}]
    weeks = figures(api, "weekly")["weeks"]
    assert len(weeks) == 12
    assert sum(week["analyses"] for week in weeks) == 12
    days = figures(api, "daily")["days"]
    assert len(days) == 30
    assert days[-1]["labels"] == summary["labels"]
    assert figures(api, "daily", days=1, version=2)["days"][0]["analyses"] == 0
    assert figures(api, "daily", days=1, model="densenet", version=1)["days"][0]["analyses"] == 12

    lines = api.get("/stats/diseases/summary", headers={"accept": "text/csv"})
    assert lines.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(lines.text)))
    assert [row["positives"] for row in rows] == ["12", "0"]
    for path in ("summary", "weekly", "daily"):
        picture = api.get(f"/stats/diseases/{path}", headers={"accept": "image/svg+xml"})
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "12 analyses" in " ".join(ElementTree.fromstring(picture.content).itertext())


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("daily", {"days": "0"}, "days"),
        ("daily", {"days": "367"}, "days"),
        ("daily", {"days": "-1"}, "days"),
        ("daily", {"days": "1e3"}, "days"),
        ("daily", {"start": "yesterday"}, "start"),
        ("daily", {"start": "2026-02-30"}, "start"),
        ("daily", {"start": "20261122"}, "start"),
        ("daily", {"start": "2026-W47-1"}, "start"),
        ("daily", {"start": "0001-01-01"}, "start"),
        ("daily", {"end": "9999-12-31"}, "end"),
        ("daily", {"start": "2026-11-22", "end": "2026-11-21"}, "start"),
        ("daily", {"start": "2025-01-01", "end": "2026-01-02"}, "start"),
        ("daily", {"start": "2026-01-01", "end": "2026-01-02", "days": "2"}, "days"),
        ("daily", {"format": "xml"}, "format"),
        ("daily", {"version": "latest"}, "version"),
        ("weekly", {"weeks": "0"}, "weeks"),
        ("weekly", {"weeks": "107"}, "weeks"),
    ],
)
def test_a_query_out_of_bounds_is_refused_before_redis_is_asked(
    without_redis: httpx.Client, path: str, query: dict[str, str], name: str
) -> None:
    response = without_redis.get(f"/stats/diseases/{path}", params=query)
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_parameter"
    assert response.json()["detail"].startswith(f"{name}: expected ")


def test_days_can_be_given_by_dates_or_numbers(api: httpx.Client) -> None:
    def span(**query: Any) -> tuple[str, str, int]:
        found = figures(api, "daily", **query)
        return found["start"], found["end"], len(found["days"])

    now = today()
    assert span(start="2026-02-27", end="2026-03-01") == ("2026-02-27", "2026-03-01", 3)
    assert span(start="2026-02-27", days=2) == ("2026-02-27", "2026-02-28", 2)
    assert span(end="2026-03-01", days=2) == ("2026-02-28", "2026-03-01", 2)
    assert span(start="2024-01-01", end="2024-12-31")[2] == 366
    assert span(days=366)[2] == 366
    if now == today():
        assert span(days=2) == (str(now - timedelta(days=1)), str(now), 2)
        assert span(start=str(now)) == (str(now), str(now), 1)


def test_without_redis_analyses_are_answered_and_statistics_are_not(
    without_redis: httpx.Client,
) -> None:
    assert without_redis.post("/densenet_predict", files={"file": SOUND}).status_code == 200
    assert without_redis.post("/v2/densenet_predict", json={"image": ENCODED}).status_code == 200
    assert delay(without_redis) > 0
    for path in ("summary", "weekly", "daily"):
        response = without_redis.get(f"/stats/diseases/{path}")
        assert (response.status_code, response.json()["code"]) == (503, "redis_unavailable")
        assert int(response.headers["retry-after"]) > 0


def test_what_was_answered_without_redis_is_counted_once_it_is_back(
    api: httpx.Client, redis: RedisServer
) -> None:
    redis.kill()
    for _ in range(3):
        assert api.post("/densenet_predict", files={"file": SOUND}).status_code == 200
    redis.start()
    assert figures(api, "summary")["analyses"] == 3
    assert delay(api) == 0


def test_what_was_answered_is_counted_though_the_api_is_stopped_at_once(
    tmp_path: Path, redis: RedisServer
) -> None:
    with serving(FakeServer()) as port:
        settings = {"MODEL_SERVER": f"127.0.0.1:{port}", "REDIS_URL": redis.url}
        with running_api(tmp_path / "first", **settings) as client:
            assert client.post("/densenet_predict", files={"file": SOUND}).status_code == 200
        with running_api(tmp_path / "second", **settings) as client:
            assert figures(client, "summary")["analyses"] == 1


def test_several_accept_headers_are_one(without_redis: httpx.Client) -> None:
    lines = [("Accept", "text/html"), ("Accept", "text/csv")]
    answer = without_redis.get("/stats/diseases/summary", headers=lines)
    assert answer.json()["code"] == "redis_unavailable"  # and not that nothing is acceptable


def test_an_accept_header_without_any_of_ours_is_406(without_redis: httpx.Client) -> None:
    response = without_redis.get("/stats/diseases/summary", headers={"accept": "image/png"})
    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV ; q=0.5", "text/csv"),
        ("text/*", "text/csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("application/json;q=0, */*", "text/csv"),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/svg+xml"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv;q=high, image/svg+xml;q=0.1", "image/svg+xml"),
    ],
)
def test_the_media_type_is_the_one_preferred(accept: str, chosen: str) -> None:
    assert negotiate(accept, OFFERED) == chosen


def test_a_media_type_nobody_offers_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptableError):
        negotiate("application/xml, text/csv;q=0", OFFERED)
