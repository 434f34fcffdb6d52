"""Requests whose target is a whole address, to a real process that is open to its own machine only."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import running_api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with running_api(tmp_path_factory.mktemp("target") / "log") as client:
        yield client


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost:5000/health", "localhost:5000", 200),
        ("HTTP://127.0.0.1/health", "127.0.0.1", 200),
        ("https://localhost/h%65alth", "localhost", 200),
        ("http://localhost", "localhost", 200),
        ("http://localhost?x=/health", "localhost", 200),
        ("http://localhost/stats/diseases/daily?days=none", "localhost", 422),
        ("http://localhost/nothing", "localhost", 404),
        ("http://localhost/", "evil.example", 200),
        ("http://evil.example/", "localhost", 421),
        ("http://localhost@evil.example/", "localhost", 421),
        ("http:///health", "localhost", 404),
        ("ftp://localhost/health", "localhost", 404),
    ],
)
def test_a_whole_address_is_what_its_path_and_its_host_are(
    api: httpx.Client, target: str, host: str, status: int
) -> None:
    answer = api.get("/", headers={"Host": host}, extensions={"target": target.encode()})
    assert answer.status_code == status, answer.text
