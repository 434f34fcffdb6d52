"""The page as it is answered; tests/page looks at it in a browser."""

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gradcam.colour import colours
from tests.support.api import running_api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("page") / "log"
    with running_api(log, MAX_UPLOAD_BYTES="2500000") as client:
        yield client


def scripts(api: httpx.Client, path: str, found: dict[str, str]) -> dict[str, str]:
    """Gather a module and all that it imports, by path."""
    if path not in found:
        answer = api.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache"), path
        found[path] = answer.text
        for name in re.findall(r'^import .* from "(.+)";$', answer.text, re.MULTILINE):
            scripts(api, posixpath.normpath(posixpath.join(posixpath.dirname(path), name)), found)
    return found


def test_settings_and_colours_are_filled_in(api: httpx.Client) -> None:
    page = api.get("/").text
    assert "$" not in page
    assert "Not for clinical use." in page
    assert "at most 2.5&nbsp;MB" in page
    data = dict(re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', page))
    assert json.loads(data["limits"]) == {"bytes": 2_500_000}
    drawing = json.loads(data["drawing"])
    assert drawing["colours"] == colours().tolist()
    assert (drawing["weak"], drawing["opacity"]) == (0.4, 0.6)


def test_everything_it_loads_is_the_services_own_and_of_this_release(api: httpx.Client) -> None:
    answer = api.get("/")
    loaded = re.findall(r'<(?:link|script|img)[^>]* (?:href|src)="([^"]+)"', answer.text)
    assert len(loaded) == 5
    assert [path for path in loaded if not path.startswith("static/page/")] == []
    assert [path for path in loaded if api.get(f"/{path}").status_code != 200] == []
    modules = scripts(api, "/static/page/main.js", {})
    folder = Path(__file__).parents[2] / "orchestrator" / "static" / "page"
    assert {Path(path).name for path in modules} == {path.name for path in folder.glob("*.js")}


def test_the_policy_allows_no_foreign_host_and_nothing_inline(api: httpx.Client) -> None:
    answer = api.get("/")
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", answer.text)


def test_what_others_wrote_may_be_kept_for_a_day(api: httpx.Client) -> None:
    answer = api.get("/static/docs/swagger-ui.css")
    assert answer.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize("value", ["bytes=0-9", "bytes=x-", "bytes=99999999-", "lines=1-2", "x"])
def test_a_range_of_a_file_is_overlooked(api: httpx.Client, value: str) -> None:
    """RFC 9110, 14.2: a server may ignore Range, and must where it does not know the unit."""
    whole = api.get("/static/page/main.js")
    answer = api.get("/static/page/main.js", headers={"Range": value})
    assert (answer.status_code, answer.content) == (200, whole.content)
    assert answer.headers["accept-ranges"] == "none"
