"""Schemathesis, an independent tester of APIs, reads the service's own description and holds the service to it."""

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import running_api
from tests.support.fake_model_server import FakeServer, serving
from tests.support.images import gradient, png
from tests.support.keys import ADMIN, API_KEYS
from tests.support.ports import free_port
from tests.support.redis_server import running_redis
from tests.support.workers import Stack, running_stack

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

LEAST_CASES = 2000
# A sound request may be refused for its image, which no schema describes
LEFT_OUT = "positive_data_acceptance"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run the whole service with a network that is small enough to be asked thousands of times."""
    from export.servable import export_model
    from tests.support.tiny_models import PLANTED_LABELS, planted_model

    folder = tmp_path_factory.mktemp("schemathesis")
    export_model(planted_model(), folder / "densenet", labels=PLANTED_LABELS, preprocess="rescale")
    with running_stack(folder / "stack", folder / "densenet") as running:
        yield running


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Show a line to whoever runs the tests."""

    def show(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return show


def picture_link(client: httpx.Client) -> str:
    """Return the URL of a picture that an analysis has made."""
    body = {"image": base64.b64encode(png(gradient(64, 64))).decode()}
    link: str = client.post("/v2/densenet_predict", json=body).json()["image_urls"][0]
    return link


def run(url: str, folder: Path, *flags: str, **environment: str) -> tuple[Any, Counter[int]]:
    """Run Schemathesis, and return its report and how many answers had each status."""
    folder.mkdir()
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--checks", "all", "--seed", "1", "--continue-on-failure", "--no-shrink", "--no-color"),
        *("--generation-database", "none", "--request-timeout", "30"),
        *("--report", "json,ndjson", "--report-json-path", "report.json"),
        *("--report-ndjson-path", "events.ndjson", *flags),
    ]
    root = str(Path(__file__).parents[1])
    hooks = {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": root}
    with (folder / "output").open("wb") as output:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **hooks, **environment},
            stdout=output,
            stderr=output,
            check=False,
        )
    report = folder / "report.json"
    assert report.exists(), (folder / "output").read_text()
    return json.loads(report.read_text()), statuses(folder / "events.ndjson")


def statuses(events: Path) -> Counter[int]:
    found: Counter[int] = Counter()
    for line in events.read_text().splitlines():
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder") or {}
        for interaction in recorder.get("interactions", {}).values():
            found[(interaction.get("response") or {}).get("status_code", 0)] += 1
    return found


def complaints(report: Any) -> str:
    """Return what Schemathesis found, in the words of its report."""
    found = report["failures"] + report["errors"]
    return json.dumps(found, indent=2) if found else ""


def test_the_service_keeps_what_its_description_promises(
    stack: Stack, say: Callable[[str], None], tmp_path: Path
) -> None:
    link = picture_link(stack.client)
    report, answers = run(
        str(stack.client.base_url),
        tmp_path / "run",
        *("--max-examples", "140", "--exclude-checks", LEFT_OUT),
        PICTURE_LINK=link,
    )
    cases = report["test_cases"]["generated"]
    say(f"{cases} cases in {report['running_time']:.0f} s; answers by status: {dict(answers)}")
    assert complaints(report) == ""
    operations = report["operations"]
    assert operations["tested"] == operations["total"] > 20
    assert cases >= LEAST_CASES
    assert not [status for status in answers if status >= 500 or status == 0]
    # It was not only turned away: analyses were made, accepted and looked at
    assert answers[200] > 300
    assert answers[202] > 50
    log = stack.api.log.read_text()
    assert "Traceback" not in log


def test_a_service_with_keys_keeps_its_promises_too(
    say: Callable[[str], None], tmp_path: Path
) -> None:
    with running_redis(tmp_path / "redis") as redis, serving(FakeServer()) as port:
        settings = {
            "MODEL_SERVER": f"127.0.0.1:{port}",
            "REDIS_URL": redis.url,
            "API_KEYS": API_KEYS,
            "RATE_LIMIT": "200/day",
        }
        with running_api(tmp_path / "log", **settings) as client:
            report, answers = run(
                str(client.base_url),
                tmp_path / "run",
                *("--max-examples", "20", "--phases", "examples,coverage,fuzzing"),
                *("--exclude-checks", LEFT_OUT),
                *("--exclude-path-regex", "^/health/(workers|celery)$"),  # nobody works here
                *("--header", f"Authorization: Bearer {ADMIN}"),
                PICTURE_LINK=f"{client.base_url}/files/none?expires=1&signature=0",
            )
    say(f"{report['test_cases']['generated']} cases; answers by status: {dict(answers)}")
    assert complaints(report) == ""
    assert not [status for status in answers if status >= 500 or status == 0]
    assert answers[200] > 50  # with the key
    assert answers[401] > 10  # Schemathesis leaves it out and sends wrong ones
    assert answers[429] > 10
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert ADMIN not in log


def test_what_is_away_is_answered_as_described(say: Callable[[str], None], tmp_path: Path) -> None:
    settings = {
        "MODEL_SERVER": f"127.0.0.1:{free_port()}",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "MODEL_TIMEOUT": "1",
    }
    with running_api(tmp_path / "log", **settings) as client:
        report, answers = run(
            str(client.base_url),
            tmp_path / "run",
            *("--max-examples", "10", "--phases", "examples,coverage,fuzzing"),
            *("--exclude-checks", f"{LEFT_OUT},not_a_server_error"),
            PICTURE_LINK=f"{client.base_url}/files/none?expires=1&signature=0",
        )
    say(f"{report['test_cases']['generated']} cases; answers by status: {dict(answers)}")
    assert complaints(report) == ""
    assert {status for status in answers if status >= 500} == {503}
    assert answers[503] > 100
    assert "Traceback" not in (tmp_path / "log").read_text()
