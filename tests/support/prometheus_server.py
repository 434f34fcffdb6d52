"""Run a real Prometheus on the rules of monitoring/, and ask it."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.ports import free_port

MONITORING = Path(__file__).parents[2] / "monitoring"


@dataclass
class Prometheus:
    """A Prometheus and its HTTP API."""

    client: httpx.Client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        found: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return found

    def names(self) -> set[str]:
        """Return the names of every series, recorded ones too."""
        return set(self._get("label/__name__/values"))

    def wait_for_targets(self, count: int, seconds: float = 60) -> None:
        """Wait until every target was scraped."""
        until = time.monotonic() + seconds
        while len(self.query("up == 1")) < count:
            targets = self._get("targets")["activeTargets"]
            assert time.monotonic() < until, targets
            time.sleep(0.2)

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


@contextmanager
def running_prometheus(
    program: str, folder: Path, targets: Mapping[str, Sequence[str]]
) -> Iterator[Prometheus]:
    """Run it until the block ends.

    Args:
        program: Its path.
        folder: For its data.
        targets: Addresses by the job of monitoring/prometheus.yaml, in place of names that only a container knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configuration = yaml.safe_load((MONITORING / "prometheus.yaml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(MONITORING / each) for each in configuration["rule_files"]]
    for job in configuration["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        job["static_configs"] = [{"targets": list(targets.get(job["job_name"], ()))}]
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(configuration))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            _wait_until_ready(client)
            yield Prometheus(client)
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(client: httpx.Client) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("Prometheus was not ready within 30 s")
