"""Use a running stack as a caller does: one radiograph through every way."""

import base64
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tests.containers.saying import checked, say, wait_for

_ENDED: Final = ("SUCCESS", "FAILURE")


@dataclass(frozen=True)
class Caller:
    """One who has a radiograph and the address of the API."""

    api: httpx.Client
    radiograph: bytes

    def use(self) -> str:
        """Send the radiograph through every way, and return the task of one of them."""
        api, file = self.api, {"file": self.radiograph}
        answer = checked(api.post("/densenet_predict", files=file), 200)
        seconds = answer.elapsed.total_seconds()
        say(f"  /densenet_predict: {_archive(answer.content)}, {seconds:.2f} s")
        task_id = self.submit()
        say(f"  /async/densenet_predict: {_archive(self.result(task_id).content)}")
        encoded = {"image": base64.b64encode(self.radiograph).decode()}
        hosted = checked(api.post("/v2/densenet_predict", json=encoded), 200).json()
        say(f"  /v2/densenet_predict: {hosted['findings']}, {self._fetched(hosted)}")
        second = checked(api.post("/async/v2/densenet_predict", json=encoded), 202).json()
        later = self.result(second["task_id"]).json()
        say(f"  /async/v2/densenet_predict: {later['findings']}, {self._fetched(later)}")
        summary = checked(api.get("/stats/diseases/summary"), 200).json()
        assert summary["analyses"] == 4, summary
        say(f"  /stats/diseases/summary: {summary['analyses']} analyses")
        return task_id

    def submit(self) -> str:
        """Submit the radiograph as a task."""
        answer = self.api.post("/async/densenet_predict", files={"file": self.radiograph})
        identifier: str = checked(answer, 202).json()["task_id"]
        return identifier

    def status(self, task_id: str) -> str:
        """Return how a task stands."""
        found: str = checked(self.api.get(f"/tasks/{task_id}"), 200).json()["status"]
        return found

    def result(self, task_id: str) -> httpx.Response:
        """Return what a task ends in."""
        wait_for(lambda: self.status(task_id) in _ENDED, "the task ends", 60)
        return checked(self.api.get(f"/tasks/{task_id}/result"), 200)

    def _fetched(self, report: Any) -> str:
        """Fetch the pictures of a report, and say how many there were, and where."""
        for url in report["image_urls"]:
            assert checked(self.api.get(url), 200).headers["content-type"] == "image/jpeg"
        assert report["image_urls"], "expected pictures, found none"
        folder = urlsplit(report["image_urls"][0]).path.split("/")[1]
        return f"{len(report['image_urls'])} pictures fetched from /{folder}"


def _archive(content: bytes) -> str:
    """Return what a result's archive holds, in a line."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        report = json.loads(archive.read("report.json"))
        pictures = [name for name in archive.namelist() if name != "report.json"]
    assert pictures, "expected an overlay, found none"
    return f"{report['findings']}, {len(pictures)} overlays, model version {report['model']['version']}"
