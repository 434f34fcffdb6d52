"""Statistics after a burst of mixed, concurrent, retried, failing and killed work equal a recount from the reports."""

import base64
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire
from tests.support.api import running_api
from tests.support.fake_model_server import MAPS, FakeServer, serving
from tests.support.images import png
from tests.support.redis_server import running_redis

COUNT = 160
WORKERS = 2
CONCURRENCY = 8
ENDED = {"SUCCESS", "FAILURE"}


@dataclass
class MoodyServer(FakeServer):
    """Answer probabilities that follow from the pixels; fail every fifth time; take its time."""

    chance: random.Random = field(default_factory=lambda: random.Random(5))

    def predict(
        self, request: wire.PredictRequest, context: grpc.ServicerContext
    ) -> wire.PredictResponse:
        if request.model_spec.signature_name == "describe":
            return super().predict(request, context)
        time.sleep(0.02)
        if self.chance.random() < 0.2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no mood")
        level = float(tensors.decode(request.inputs["image"]).mean()) / 255
        probabilities = np.array([[level, 1 - level]], np.float32)
        answer = MoodyServer(
            outputs={
                "logits": probabilities,
                "probabilities": probabilities,
                "activation_maps": MAPS,
            }
        )
        return FakeServer.predict(answer, request, context)


@contextmanager
def running_workers(folder: Path, **settings: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run ``cxr worker`` several times; whoever kills one finds another in its place."""
    environment = {**os.environ, "DATA_DIR": str(folder / "data"), **settings}
    stopping = threading.Event()
    workers: list[subprocess.Popen[bytes]] = []

    def start(log: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "orchestrator", "worker"]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def tend(log: Any) -> None:
        while not stopping.wait(0.2):
            for number, worker in enumerate(workers):
                if worker.poll() is not None:
                    workers[number] = start(log)

    with (folder / "workers.log").open("wb") as log:
        workers.extend(start(log) for _ in range(WORKERS))
        tender = threading.Thread(target=tend, args=(log,))
        tender.start()
        try:
            yield workers
        finally:
            stopping.set()
            tender.join()
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            for worker in workers:
                worker.wait(30)


def flat(level: int) -> bytes:
    return png(np.full((64, 64), level, np.uint8))


def send(api: httpx.Client, number: int) -> Any:
    """Send one of five kinds of work; return its report, its task's identifier, or None if it was refused."""
    upload = flat(number) if number % 10 else b"no image"
    encoded = {"image": base64.b64encode(upload).decode(), "heatmaps": "none"}
    form: dict[str, Any] = {"files": {"file": upload}, "data": {"heatmaps": "none"}}
    match number % 4:
        case 0:
            response = api.post("/densenet_predict", **form)
            return report_of(response) if response.status_code == 200 else None
        case 1:
            response = api.post("/v2/densenet_predict", json=encoded)
            return report_of(response) if response.status_code == 200 else None
        case 2:
            response = api.post("/async/densenet_predict", **form)
        case _:
            response = api.post("/async/v2/densenet_predict", json=encoded)
    assert response.status_code == 202, response.text
    return response.json()["task_id"]


def report_of(response: httpx.Response) -> Any:
    if response.headers["content-type"] == "application/json":
        return response.json()
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        return json.loads(archive.read("report.json"))


def ended(api: httpx.Client, task_id: str, until: float) -> Any:
    """Wait for a task; return its report, or None if it failed."""
    while time.monotonic() < until:
        status = api.get(f"/tasks/{task_id}").json()["status"]
        if status in ENDED:
            break
        time.sleep(0.2)
    else:
        raise AssertionError(f"a task is still {status}")
    result = api.get(f"/tasks/{task_id}/result")
    assert (result.status_code == 200) == (status == "SUCCESS")
    return report_of(result) if status == "SUCCESS" else None


def recount(reports: list[Any]) -> list[dict[str, Any]]:
    """Count by hand what the summary should say."""
    positives, sums = Counter[str](), Counter[str]()
    for report in reports:
        for prediction in report["predictions"]:
            positives[prediction["label"]] += prediction["positive"]
            sums[prediction["label"]] += round(prediction["probability"] * 10**9)
    return [
        {
            "label": label,
            "analyses": len(reports),
            "positives": positives[label],
            "mean_probability": round(sums[label] / 10**9 / len(reports), 6),
        }
        for label in sorted(sums)
    ]


@pytest.mark.slow
def test_statistics_equal_a_recount_from_the_reports(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as redis, serving(MoodyServer()) as port:
        settings = {"REDIS_URL": redis.url, "MODEL_SERVER": f"127.0.0.1:{port}"}
        with (
            running_api(tmp_path / "log", **settings) as api,
            running_workers(tmp_path, **settings) as workers,
            ThreadPoolExecutor(CONCURRENCY) as pool,
        ):
            sent = [pool.submit(send, api, number) for number in range(COUNT)]
            for victim in (0, 1, 0):
                time.sleep(2)
                with suppress(ProcessLookupError):
                    workers[victim].kill()
            answers = [each.result() for each in sent]
            until = time.monotonic() + 180
            reports = [each for each in answers if isinstance(each, dict)]
            tasks = [each for each in answers if isinstance(each, str)]
            results = [ended(api, task_id, until) for task_id in tasks]
            reports += [each for each in results if each is not None]
            summary = api.get("/stats/diseases/summary").json()
    assert len(tasks) == COUNT / 2
    assert results.count(None) >= COUNT / 20  # every tenth is no image
    assert summary["analyses"] == len(reports)
    assert summary["labels"] == recount(reports)
