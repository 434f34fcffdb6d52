"""What docs/access.md says is so: its examples run, and its tables are those of the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.access.keys import read_entries
from orchestrator.access.policy import POLICY
from tests.support.api import running_api
from tests.support.keys import ADMIN, API_KEYS
from tests.support.redis_server import running_redis

PAGE = (Path(__file__).parents[1] / "docs" / "access.md").read_text("utf-8")
PRINTED = re.compile(r"cxr_\w{20,}")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("access")
    with (
        running_redis(folder / "redis") as redis,
        running_api(folder / "log", REDIS_URL=redis.url, API_KEYS=API_KEYS) as client,
    ):
        yield client


def run(api: httpx.Client, command: list[str], example: str, folder: Path) -> str:
    runnable = PRINTED.sub(ADMIN, example.replace("localhost:5000", api.base_url.netloc.decode()))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (folder / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
    done = subprocess.run(
        [*command, runnable],
        env={**os.environ, "PATH": path, "CXR_API_KEY": ADMIN, "CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_example_runs(api: httpx.Client, tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("curl and bash are not on this machine")
    making, asking = examples("bash")
    key, entry = run(api, ["bash", "-euo", "pipefail", "-c"], making, tmp_path).split()
    assert PRINTED.fullmatch(key.replace("-", "_"))
    assert read_entries(entry)[0].scopes == {"predict", "read"}
    answers = run(api, ["bash", "-euo", "pipefail", "-c"], asking, tmp_path)
    assert answers.count('"timezone":"UTC"') == 3
    (script,) = examples("python")
    assert run(api, [sys.executable, "-c"], script, tmp_path) == "0\n"


def test_the_table_of_scopes_is_the_policy() -> None:
    table = {}
    for operations, scopes in re.findall(r"^\| (`[A-Z]+ /.*?) \| (.*) \|$", PAGE, re.MULTILINE):
        for method, path in re.findall(r"`([A-Z]+) (/[^`]*)`", operations):
            table[method, path] = frozenset(re.findall(r"`(\w+)`", scopes))
    assert table == dict(POLICY)
