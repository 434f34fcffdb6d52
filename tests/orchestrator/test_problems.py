import logging
import uuid

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator.app import create_app
from orchestrator.security_headers import NOTHING
from orchestrator.settings import Settings


async def broken(_: Request) -> Response:
    raise RuntimeError("DOE^JANE")


def test_a_defect_is_a_problem_with_the_request_id_and_without_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    caplog.set_level(logging.INFO, "orchestrator.middleware.telemetry")
    app = create_app(Settings(public_url="https://cxr.example", redis_url="redis://127.0.0.1:1/0"))
    app.router.routes.append(Route("/broken", broken))
    identifier = str(uuid.uuid4())

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/broken", headers={"X-Request-ID": identifier})

    answer = anyio.run(ask)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == identifier
    assert answer.json()["code"] == "internal_error"
    assert answer.headers["content-security-policy"] == NOTHING
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert "DOE" not in answer.text
    (record,) = [
        each for each in caplog.records if each.name == "orchestrator.middleware.telemetry"
    ]
    assert vars(record)["status"] == 500
