"""What browsers are told with every answer."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.security_headers import NOTHING, PAGE
from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.keys import ADMIN, API_KEYS, bearer
from tests.support.ports import free_port

ORIGIN = "https://viewer.example"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
            "API_KEYS": API_KEYS,
            "CORS_ORIGINS": f"{ORIGIN}, http://localhost:8080",
            "PUBLIC_URL": "https://cxr.example",
        }
        with running_api(tmp_path_factory.mktemp("headers") / "log", **settings) as client:
            yield client


def test_every_answer_tells_browsers_to_do_nothing_with_it(api: httpx.Client) -> None:
    image = {"files": {"file": png(gradient(64, 64))}, "headers": bearer(ADMIN)}
    answers = [
        api.post("/densenet_predict", **image),  # type: ignore[arg-type]
        api.get("/health"),
        api.get("/metrics"),
        api.get("/nothing", headers=bearer(ADMIN)),
        api.post("/densenet_predict", headers=bearer(ADMIN)),
        api.get("/stats/diseases/summary", headers=bearer(ADMIN)),
        api.get("/files/none"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 401, 404, 415, 503, 403]
    for answer in answers:
        assert answer.headers["content-security-policy"] == NOTHING
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert "server" not in answer.headers


def test_pages_and_their_files_say_what_they_need(api: httpx.Client) -> None:
    page = api.get("/docs")
    assert page.headers["content-security-policy"] == PAGE
    assert "unsafe" not in PAGE
    own = api.get("/", headers=bearer(ADMIN))
    assert own.headers["content-security-policy"] == PAGE
    assert own.headers["cache-control"] == "no-cache"
    assert page.headers["cache-control"] == "no-cache"
    script = api.get("/static/docs/start.js")
    assert script.headers["cache-control"] == "public, max-age=86400"
    assert script.headers["x-content-type-options"] == "nosniff"


def preflight(api: httpx.Client, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,idempotency-key",
    }
    return api.options("/async/densenet_predict", headers=headers)


def test_scripts_of_sites_that_are_named_may_ask_with_a_key_of_their_own(
    api: httpx.Client,
) -> None:
    answer = preflight(api, ORIGIN)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in answer.headers
    asked = api.get("/tasks/none", headers={"Origin": ORIGIN, **bearer(ADMIN)})
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "RateLimit-Remaining" in asked.headers["access-control-expose-headers"]
    assert "Origin" in asked.headers["vary"]
    # A refusal can be read as well
    assert api.get("/metrics", headers={"Origin": ORIGIN}).headers["access-control-allow-origin"]


@pytest.mark.parametrize(
    "origin",
    [
        *("https://viewer.example.evil", "http://viewer.example", "https://viewer.example:444"),
        *("null", "https://VIEWER.example", "https://localhost:8080"),
    ],
)
def test_scripts_of_other_sites_may_not(api: httpx.Client, origin: str) -> None:
    assert "access-control-allow-origin" not in preflight(api, origin).headers
    asked = api.get("/tasks/none", headers={"Origin": origin, **bearer(ADMIN)})
    assert "access-control-allow-origin" not in asked.headers


def test_without_the_settings_no_site_may_and_http_is_no_promise(tmp_path: Path) -> None:
    with running_api(tmp_path / "log") as client:
        assert preflight(client, ORIGIN).status_code == 403
        answer = client.get("/health", headers={"Origin": ORIGIN})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "strict-transport-security" not in answer.headers
