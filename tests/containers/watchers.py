"""Look at a running stack through what watches it: the dashboard of tasks, Prometheus, Grafana."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import httpx

from tests.containers.saying import answered, checked, say, wait_for

# Processes of each job of monitoring/prometheus.yaml, whichever port they are asked at.
_TARGETS: Final = {"cxr-api": 1, "cxr-worker": 2, "prometheus": 1, "tf-serving": 1}
_WORKING: Final = ("cxr-api", "cxr-worker")
_OFTEN: Final = 15  # seconds
_JOBS: Final = "/0/view/jobs/prediction_tasks/finished/8/desc/1"


def check_dashboard(port: str, password: str, task_id: str, screenshot: Path | None) -> None:
    """See the task in the dashboard, and nothing without the password."""
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=address, timeout=20) as client:
        assert client.get("/").status_code == 401
        client.auth = ("admin", password)
        page = checked(client.get("/"), 200).text
        files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
        assert files, page[:500]
        assert all(answered(client, file) for file in files), files
        job = checked(client.get(f"/0/data/job/{task_id}.json"), 200).json()
        assert job["status"] == "finished", job
        say(
            f"Dashboard: 401 without password; with it a page and its {len(files)} styles and scripts"
        )
        say(f"  job {job['description']!r}: {job['status']}")
    if screenshot is not None:
        _take(f"http://admin:{password}@127.0.0.1:{port}{_JOBS}", screenshot)
        say(f"  {screenshot.name}: a picture of it")


def _take(address: str, file: Path) -> None:
    """Have Chromium take a picture of a page."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "expected Chromium for --screenshot, found none"
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--window-size=1200,900"),
            *(f"--user-data-dir={profile}", "--virtual-time-budget=10000"),
            *(f"--screenshot={file.resolve()}", address),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def check_prometheus(port: str) -> None:
    """See that every target was scraped, each process once, that the rules were read, and that nothing is wrong."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=20) as client:
        wait_for(lambda: _up(client) == _TARGETS, f"Prometheus has scraped {_TARGETS}", 120)
        say(f"Prometheus: targets up {_up(client)}")
        groups = client.get("/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert rules, "expected alert rules, found none"
        wait_for(lambda: _healthy(client), "rules were evaluated", 60)
        firing = [rule["name"] for rule in rules if rule.get("state") == "firing"]
        assert firing == ["CxrWatchdog"], firing
        wait_for(lambda: set(_stages(client)) == set(_WORKING), "stages of both are counted", 60)
        say(
            f"  {len(rules)} rules, nothing but the watchdog firing; stages counted {_stages(client)}"
        )


def _up(client: httpx.Client) -> dict[str, int]:
    targets = client.get("/targets").json()["data"]["activeTargets"]
    jobs = [target["labels"]["job"] for target in targets if target["health"] == "up"]
    away = {target["labels"]["job"]: -1 for target in targets if target["health"] != "up"}
    return {job: jobs.count(job) for job in sorted(jobs)} | away


def _healthy(client: httpx.Client) -> bool:
    """Tell whether every rule was evaluated well; those of drift have their turn every five minutes only."""
    groups = client.get("/rules").json()["data"]["groups"]
    return all(
        rule["health"] == "ok" or (rule["health"] == "unknown" and group["interval"] > _OFTEN)
        for group in groups
        for rule in group["rules"]
    )


def _stages(client: httpx.Client) -> dict[str, int]:
    query = {"query": "sum by (job) (cxr_stage_duration_seconds_count)"}
    found = client.get("/query", params=query).json()["data"]["result"]
    return {each["metric"]["job"]: int(each["value"][1]) for each in found}


def check_grafana(port: str, password: str) -> None:
    """See that the dashboards were provisioned."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("admin", password)) as client:
        wait_for(lambda: answered(client, "/api/health"), "Grafana answers", 120)
        titles = {each["title"] for each in client.get("/api/search?type=dash-db").json()}
        assert titles == {"CXR: service", "CXR: queue", "CXR: model"}, titles
        say(f"Grafana: {sorted(titles)}")
