"""Nothing but what is meant to be open answers without a key."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from orchestrator.access.policy import POLICY
from orchestrator.app import create_app
from orchestrator.settings import Settings
from tests.support.api import running_api
from tests.support.keys import ADMIN, API_KEYS, PREDICT, READ, bearer
from tests.support.ports import free_port
from tests.support.waiting import eventually

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOWHERE = "redis://127.0.0.1:1/0"
ROUTES: list[BaseRoute] = create_app(Settings()).routes
OPERATIONS = sorted(
    (method, route.path)
    for route in ROUTES
    if isinstance(route, Route)
    for method in route.methods or ()
)
# Written out a second time: what is open is a decision, and not whatever the table says.
OPEN = {
    *("/health", "/health/model", "/health/redis", "/health/workers", "/health/celery"),
    *("/health/ready", "/docs", "/openapi.json", "/files/{key}"),
}
SCOPES = {
    ("GET", "/"): {READ},
    ("POST", "/densenet_predict"): {PREDICT},
    ("POST", "/v2/densenet_predict"): {PREDICT},
    ("POST", "/async/densenet_predict"): {PREDICT},
    ("POST", "/async/v2/densenet_predict"): {PREDICT},
    ("POST", "/async/batch"): {PREDICT},
    ("GET", "/tasks/{task_id}"): {PREDICT, READ},
    ("GET", "/tasks/{task_id}/result"): {PREDICT, READ},
    ("GET", "/tasks/{task_id}/events"): {PREDICT, READ},
    ("GET", "/batches/{batch_id}"): {PREDICT, READ},
    ("GET", "/batches/{batch_id}/result"): {PREDICT, READ},
    ("DELETE", "/tasks/{task_id}"): {PREDICT},
    ("GET", "/stats/diseases/summary"): {READ},
    ("GET", "/stats/diseases/weekly"): {READ},
    ("GET", "/stats/diseases/daily"): {READ},
    ("GET", "/metrics"): set(),
    ("GET", "/audit"): set(),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guard") / "log"


@pytest.fixture(scope="module")
def api(log: Path) -> Iterator[httpx.Client]:
    """Run the API with keys and with nothing behind it: what is let through answers 4xx or 503."""
    settings = {
        "MODEL_SERVER": f"127.0.0.1:{free_port()}",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "API_KEYS": API_KEYS,
        "CORS_ORIGINS": "https://viewer.example",
        "LOG_LEVEL": "debug",
    }
    with running_api(log, **settings) as client:
        yield client


def filled(path: str) -> str:
    return path.replace("{task_id}", ID).replace("{batch_id}", ID).replace("{key}", "a-0.jpg")


def test_every_route_has_a_rule() -> None:
    routes = {(method, path) for method, path in OPERATIONS if method != "HEAD"}
    routes |= {("GET", route.path) for route in ROUTES if isinstance(route, Mount)}
    assert routes <= set(POLICY), "say in orchestrator/access/policy.py who may ask for it"


@pytest.mark.parametrize("value", [None, "wrong"])
def test_without_a_key_every_route_answers_401_but_the_open(
    api: httpx.Client, value: str | None
) -> None:
    headers = {} if value is None else bearer(value)
    answered = {}
    for method, path in OPERATIONS:
        answer = api.request(method, filled(path), headers=headers)
        answered[method, path] = answer.status_code != 401
        if answer.status_code == 401 and method != "HEAD":
            assert answer.json()["code"] == "unauthorized"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["x-request-id"] == answer.json()["request_id"]
            challenges = answer.headers.get_list("www-authenticate")
            assert [each.partition(" ")[0] for each in challenges] == ["Bearer", "Basic"]
    assert answered == {(method, path): path in OPEN for method, path in OPERATIONS}
    assert len(answered) > 30


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "X"]
)
def test_nothing_is_told_of_unknown_paths_and_methods_without_a_key(
    api: httpx.Client, method: str
) -> None:
    paths = ["/", "/nothing", "/healthy", "/health/", "/docs/", "/files/", "/files/a/b", "/Metrics"]
    paths += ["/densenet_predict/", "//metrics", "/metrics/", "/static", "/health/../metrics"]
    paths += ["/%6detrics", "/metrics%00", "/health%2f..%2fmetrics", "/openapi.json/x"]
    for path in paths:
        answer = api.build_request(method, "/")
        answer.url = httpx.URL(f"{api.base_url}".rstrip("/") + path)
        assert api.send(answer).status_code == 401, path
    for path in OPEN - {"/files/{key}"}:
        if method not in ("GET", "HEAD"):
            assert api.request(method, path).status_code == 401


def test_static_files_and_the_description_are_open(api: httpx.Client) -> None:
    for path in ("/docs", "/openapi.json", "/static/docs/start.js"):
        assert (api.get(path).status_code, api.head(path).status_code) == (200, 200)
    assert api.get("/static/docs/none.js").status_code == 404
    assert api.get("/files/a-0.jpg").status_code == 403  # the link's own answer: it is not signed


def test_a_scope_opens_what_it_is_for_and_nothing_else(api: httpx.Client) -> None:
    closed = {pair for pair in OPERATIONS if pair[1] not in OPEN and pair[0] != "HEAD"}
    assert closed == set(SCOPES)
    for method, path in closed:
        for key in (PREDICT, READ, ADMIN):
            answer = api.request(method, filled(path), headers=bearer(key))
            refused = answer.status_code in (401, 403)
            assert refused is (key not in SCOPES[method, path] | {ADMIN}), (method, path)
            if refused:
                assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
                assert "expected a key with the scope " in answer.json()["detail"]


def test_whoever_has_a_key_is_told_what_does_not_exist(api: httpx.Client) -> None:
    for key in (PREDICT, READ, ADMIN):
        assert api.get("/nothing", headers=bearer(key)).json()["code"] == "not_found"
        wrong = api.put("/metrics", headers=bearer(key))
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
        assert api.put("/static/docs/start.js", headers=bearer(key)).status_code == 405


def test_a_route_without_a_rule_is_closed_to_all_but_admins(tmp_path: Path) -> None:
    async def secret(_: Request) -> Response:
        return Response("secret")

    settings = {"API_KEYS": API_KEYS, "DATA_DIR": str(tmp_path)}
    app = create_app(Settings.from_mapping({**settings, "REDIS_URL": NOWHERE}))
    app.router.routes.append(Route("/new", secret))
    transport = httpx.ASGITransport(app)

    async def ask(headers: dict[str, str]) -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get("/new", headers=headers)).status_code

    found = [anyio.run(ask, headers) for headers in ({}, bearer(READ), bearer(ADMIN))]
    assert found == [401, 403, 200]


def test_a_key_may_come_in_any_of_three_ways(api: httpx.Client) -> None:
    for headers in (bearer(ADMIN), {"X-API-Key": ADMIN}):
        assert api.get("/metrics", headers=headers).status_code == 200
    assert api.get("/metrics", auth=("whoever", ADMIN)).status_code == 200
    assert api.get("/metrics", auth=(ADMIN, "")).status_code == 401
    assert api.get("/metrics", params={"key": ADMIN, "api_key": ADMIN}).status_code == 401


@pytest.mark.parametrize(
    ("method", "site", "mode", "status"),
    [
        ("DELETE", "cross-site", "cors", 403),
        ("DELETE", "same-site", "cors", 403),
        ("DELETE", "same-origin", "cors", 404),
        ("GET", "cross-site", "no-cors", 403),
        ("GET", "cross-site", "navigate", 404),
        ("POST", "cross-site", "navigate", 403),
        ("GET", "none", "navigate", 404),
    ],
)
def test_another_site_can_not_use_the_key_that_a_browser_remembers(
    api: httpx.Client, method: str, site: str, mode: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    path = "/densenet_predict" if method == "POST" else "/tasks/none"
    answer = api.request(method, path, headers=headers, auth=("", ADMIN))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "cross_site"
    # A script that knows the key is let through by CORS, or not
    assert api.request(method, path, headers=headers | bearer(ADMIN)).status_code in (404, 415)


def test_where_browsers_do_not_say_which_site_has_asked_the_origin_tells(
    api: httpx.Client,
) -> None:
    own = f"http://{api.base_url.netloc.decode()}"
    # A site whose scripts may ask has keys of its own, but not what a browser remembers
    others = ("https://viewer.example", "http://evil.example", "null")
    for origin, status in {own: 404, **dict.fromkeys(others, 403)}.items():
        headers = {"Origin": origin}
        answer = api.delete("/tasks/none", headers=headers, auth=("", ADMIN))
        assert answer.status_code == status, origin
        assert api.delete("/tasks/none", headers=headers | bearer(ADMIN)).status_code == 404


LOCAL = {
    "PUBLIC_URL": "https://cxr.example",
    "CORS_ORIGINS": "https://viewer.example",
    "REDIS_URL": NOWHERE,
}


def ask_in_process(
    settings: dict[str, str], requests: list[tuple[str, str, dict[str, str]]]
) -> list[int]:
    """Ask an application without keys, and return the statuses."""

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(create_app(Settings.from_mapping(settings)))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:5000"
        ) as client:
            return [
                (await client.request(method, path, headers=headers)).status_code
                for method, path, headers in requests
            ]

    return anyio.run(ask)


@pytest.mark.parametrize("access", [{}, {"ACCESS": "open"}])
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, 404),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 404),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("DELETE", {"Sec-Fetch-Site": "same-site"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 404),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Origin": "https://viewer.example"}, 404),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "http://localhost:5000"}, 404),
        ("POST", {"Origin": "https://cxr.example"}, 404),
        ("POST", {"Origin": "http://localhost:5001"}, 403),
        ("POST", {"Origin": "http://localhost", "Host": "localhost:80"}, 404),
        ("POST", {"Origin": "https://localhost", "Host": "localhost:80"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "http://[x"}, 403),
    ],
)
def test_another_site_can_not_use_an_open_service_through_a_browser(
    access: dict[str, str], method: str, headers: dict[str, str], status: int
) -> None:
    requests = [(method, "/nothing", headers), ("GET", "/openapi.json", headers)]
    assert ask_in_process(LOCAL | access, requests) == [status, 200]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 404) for host in ("localhost", "LOCALHOST:5000", "127.0.0.1:80", "[::1]:5000")],
        *[(host, 404) for host in ("127.1.2.3", "cxr.example:443")],
        *[
            (host, 421)
            for host in ("evil.example", "localhost.evil.example:5000", "10.0.0.1", "[x", "")
        ],
    ],
)
def test_a_name_that_leads_to_loopback_opens_nothing(host: str, status: int) -> None:
    requests = [("GET", path, {"Host": host}) for path in ("/nothing", "/openapi.json")]
    assert ask_in_process(LOCAL, requests) == [status, 200]
    assert ask_in_process(LOCAL | {"ACCESS": "open"}, requests) == [404, 200]


def test_the_description_says_which_scope_opens_what(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    names = {PREDICT: "predict", READ: "read"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            keys = SCOPES.get((method.upper(), path), set())
            expected = {names[key] for key in keys} or ({"admin"} if path not in OPEN else set())
            found = [
                (scheme, scopes)
                for each in operation["security"]
                for scheme, scopes in each.items()
            ]
            assert {scope for _, scopes in found for scope in scopes} == expected
            assert {scheme for scheme, _ in found} == (
                set(document["components"]["securitySchemes"]) if expected else set()
            )
            assert ("401" in operation["responses"]) is bool(expected)


def test_keys_never_reach_the_log(api: httpx.Client, log: Path) -> None:
    wrong = "cxr_wrong_" + base64.b64encode(bytes(range(30))).decode()
    for key in (wrong, PREDICT, READ, ADMIN):
        for headers in (bearer(key), {"X-API-Key": key}, {"Authorization": f"Digest {key}"}):
            api.get("/metrics", headers=headers)
        api.get("/metrics", auth=(key, key))
        api.get("/tasks/none", headers=bearer(key))
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"/metrics", "/tasks/{task_id}"} <= {line.get("route") for line in lines}
    for key in (wrong, PREDICT, READ, ADMIN):
        assert key not in text
        assert base64.b64encode(f"{key}:{key}".encode()).decode() not in text


def test_open_access_is_warned_of_once(tmp_path: Path) -> None:
    with running_api(tmp_path / "log") as client:
        assert client.get("/nothing").status_code == 404
        assert "security" not in json.dumps(client.get("/openapi.json").json()["paths"]).replace(
            '"security": []', ""
        )
    warnings = [
        line for line in (tmp_path / "log").read_text().splitlines() if "access is open" in line
    ]
    assert [json.loads(line)["level"] for line in warnings] == ["warning"]


def test_prometheus_asks_a_port_of_its_own_without_a_key(tmp_path: Path) -> None:
    port = free_port()
    settings = {"API_KEYS": API_KEYS, "METRICS_PORT": str(port)}
    with running_api(tmp_path / "log", **settings) as client:
        assert client.get("/metrics").status_code == 401

        def is_counted() -> bool:  # which is done once the answer is on its way
            figures = httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
            return 'cxr_http_problems_total{code="unauthorized",route="/metrics"} 1.0' in figures

        eventually(is_counted)
        # It answers figures and nothing else
        assert httpx.get(f"http://127.0.0.1:{port}/tasks/{ID}").text.startswith("# HELP")
