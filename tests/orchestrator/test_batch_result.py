"""The archive of a batch, from a real API whose blobs can't be read."""

import io
import json
import os
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_ledger, create_results, create_submitter
from orchestrator.settings import Settings
from orchestrator.study import Options
from tests.support.api import running_api
from tests.support.redis_server import running_redis
from tests.support.waiting import eventually

ROUTE = "/batches/{batch_id}/result"


def packed(picture: bytes) -> bytes:
    report = {
        "analysis_id": "0",
        "model": {"name": "densenet", "version": 1},
        "predictions": [],
        "findings": [],
        "warnings": [],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("report.json", json.dumps(report))
        archive.writestr("01_Mass.jpg", picture)
    return buffer.getvalue()


@dataclass
class Found:
    status: int
    content: bytes
    is_whole: bool
    problems: list[str]
    outcomes: list[str]
    log: str


def ask(folder: Path, broken: int) -> Found:
    """Ask for the archive of three results, of which one, by its place, can't be read."""
    with running_redis(folder / "redis") as server, server.client() as client:
        variables = {"REDIS_URL": server.url, "BLOBS": "disk"}
        data = folder / "data"
        settings = Settings.from_mapping({**variables, "DATA_DIR": str(data)})
        ledger, results = create_ledger(settings, client), create_results(settings, client)
        submission = Submission([b"image"] * 3, Options(), is_batch=True)
        accepted = create_submitter(settings, client).submit(submission)
        for place, each in enumerate(accepted.tasks):
            task = ledger.begin(each.task_id)
            assert task is not None
            if place == broken:
                path = data / "blobs" / f"result-{each.task_id}-1"
                path.mkdir()
                os.utime(path, (time.time() + 1000,) * 2)
            else:
                results.put(task, packed(os.urandom(200_000)))
            ledger.succeed(each.task_id, 200_000)
        log = folder / "log"
        with running_api(log, **variables) as api:
            content, is_whole = b"", True
            with api.stream("GET", f"/batches/{accepted.identifier}/result") as answer:
                try:
                    for piece in answer.iter_raw():
                        content += piece
                except httpx.RemoteProtocolError:
                    is_whole = False
            eventually(lambda: ROUTE in api.get("/metrics").text)
            lines = api.get("/metrics").text.splitlines()
            trail = api.get("/audit").json()["entries"]
        return Found(
            answer.status_code,
            content,
            is_whole,
            [line for line in lines if line.startswith("cxr_http_problems_total{")],
            [each["outcome"] for each in trail if each["action"].endswith("_result")],
            log.read_text(),
        )


@pytest.mark.parametrize("broken", [0, 1])
def test_an_archive_that_can_not_be_made_is_refused_or_broken_off_and_no_defect(
    tmp_path: Path, broken: int
) -> None:
    found = ask(tmp_path, broken)
    if broken == 0:
        assert (found.status, found.is_whole) == (503, True)
        assert json.loads(found.content)["code"] == "blobs_unavailable"
    else:
        assert (found.status, found.is_whole) == (200, False)
        assert found.content.startswith(b"PK")
        assert len(found.content) > 200_000
    (problem,) = found.problems
    assert f'route="{ROUTE}"' in problem
    assert 'code="blobs_unavailable"' in problem
    assert problem.endswith(" 1.0")
    assert found.outcomes == ["blobs_unavailable"]
    assert found.log.count("dependency failed") == 1
    assert "Traceback" not in found.log
