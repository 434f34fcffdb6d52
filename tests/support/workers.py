"""Run the whole asynchronous service as real processes, and do them harm."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from orchestrator.settings import Settings
from tests.support.api import running_api, wait_until_answered
from tests.support.ports import free_port
from tests.support.processes import lives
from tests.support.redis_server import RedisServer, running_redis

CXR = (sys.executable, "-m", "orchestrator")
DONE = ("SUCCESS", "FAILURE")


@dataclass
class Service:
    """One process of the service, which can be killed and started again."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; what it writes is added to its log."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdout=output,
                stderr=output,
            )

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """Return the process."""
        assert self.process is not None
        return self.process

    def horses(self) -> list[psutil.Process]:
        """Return its children: the work-horses of a worker."""
        found: list[psutil.Process] = psutil.Process(self.running.pid).children(recursive=True)
        return found

    def kill(self) -> None:
        """Kill it with its children, as the kernel does when memory runs out, and see all of them dead.

        A work-horse that is still dying holds its worker's connections open, and Redis would go on to
        give tasks to them.
        """
        horses = self.horses()
        for process in [*horses, psutil.Process(self.running.pid)]:
            process.kill()
        self.running.wait(20)
        until = time.monotonic() + 20
        while any(lives(horse) for horse in horses):
            assert time.monotonic() < until, "a work-horse outlives SIGKILL"
            time.sleep(0.005)

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end, and return its status."""
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(seconds)


@dataclass
class Stack:
    """Redis, model server, API and workers."""

    redis: RedisServer
    model: Service
    model_target: str
    api: Service
    workers: list[Service]
    client: httpx.Client

    @property
    def services(self) -> list[Service]:
        """Return every process but Redis."""
        return [*self.workers, self.api, self.model]

    def submit(self, uploads: Sequence[bytes], threads: int = 8, **fields: str) -> list[str]:
        """Submit uploads, and return their tasks."""

        def one(upload: bytes) -> str:
            return self.submit_one(upload, **fields)

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(one, uploads))

    def submit_one(self, upload: bytes, **fields: str) -> str:
        """Submit one upload."""
        answer = self.client.post(
            "/async/densenet_predict", files={"file": upload}, data={"max_size": "256", **fields}
        )
        assert answer.status_code == 202, answer.text
        identifier: str = answer.json()["task_id"]
        return identifier

    def task(self, task_id: str) -> Any:
        """Return a task as the API shows it, however long that takes."""
        until = time.monotonic() + 60
        while True:
            try:
                answer = self.client.get(f"/tasks/{task_id}")
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return answer.json()
            assert time.monotonic() < until, answer.text if answer else "no answer"
            time.sleep(0.2)

    def wait(
        self, task_ids: Sequence[str], seconds: float = 240, pause: float = 0.1
    ) -> dict[str, Any]:
        """Wait until tasks are done, and return them."""
        until = time.monotonic() + seconds
        done: dict[str, Any] = {}
        while len(done) < len(task_ids):
            for task_id in task_ids:
                if task_id not in done:
                    task = self.task(task_id)
                    if task["status"] not in DONE:
                        break
                    done[task_id] = task
            assert time.monotonic() < until, f"{len(task_ids) - len(done)} tasks are not done"
            time.sleep(pause)
        return done

    def wait_for_started(self, task_ids: Sequence[str], count: int = 1) -> list[str]:
        """Wait until some tasks are being worked on, and return them."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            started = [each for each in task_ids if self.task(each)["status"] == "STARTED"]
            if len(started) >= count:
                return started
        raise AssertionError("no task was started")

    def reports(self, task_ids: Sequence[str]) -> list[Any]:
        """Return the reports in the results of tasks."""
        return [report_of(self.client.get(f"/tasks/{each}/result")) for each in task_ids]

    def counted(self) -> int:
        """Return how many analyses the statistics hold."""
        found: int = self.client.get("/stats/diseases/summary").json()["analyses"]
        return found


@contextmanager
def running_api_and_worker(
    folder: Path, model_port: int, **settings: str
) -> Iterator[httpx.Client]:
    """Run the API and one worker on a model server that runs already, and on a Redis of their own."""
    with running_redis(folder / "redis") as redis:
        environment = {
            "MODEL_SERVER": f"127.0.0.1:{model_port}",
            "REDIS_URL": redis.url,
            "DATA_DIR": str(folder / "data"),
            **settings,
        }
        worker = Service([*CXR, "worker"], environment, folder / "worker.log")
        with running_api(folder / "api.log", **environment) as client:
            worker.start()
            try:
                wait_until_answered(client, "/health/workers", worker.running)
                yield client
            finally:
                assert worker.stop() == 0


def report_of(answer: httpx.Response) -> Any:
    """Return the report in a ZIP, which must be whole."""
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        return json.loads(archive.read("report.json"))


@contextmanager
def running_stack(
    folder: Path,
    model_folder: Path,
    workers: int = 2,
    model_flags: Sequence[str] = (),
    **settings: str,
) -> Iterator[Stack]:
    """Run everything until the block ends.

    Args:
        folder: For logs and data.
        model_folder: Folder of version directories.
        workers: How many.
        model_flags: Further flags of the model server.
        settings: Settings that differ from the defaults.
    """
    folder.mkdir(parents=True, exist_ok=True)
    api_port, model_port = free_port(), free_port()
    model = Service(
        [
            *(sys.executable, "-m", "serving.embedded", f"--port={model_port}"),
            *(f"--rest_api_port={free_port()}", "--model_name=densenet"),
            *(f"--model_base_path={model_folder}", *model_flags),
        ],
        {},
        folder / "model.log",
    )
    with running_redis(folder / "redis") as server:
        environment = {
            "REDIS_URL": server.url,
            "MODEL_SERVER": f"127.0.0.1:{model_port}",
            "PORT": str(api_port),
            "DATA_DIR": str(folder / "data"),
            **settings,
        }
        Settings.from_mapping(environment)  # a misspelt value should fail here, and not in a log
        api = Service([*CXR, "serve"], environment, folder / "api.log")
        crew = [
            Service([*CXR, "worker"], environment, folder / f"worker{number}.log")
            for number in range(workers)
        ]
        with httpx.Client(base_url=f"http://127.0.0.1:{api_port}", timeout=30) as client:
            stack = Stack(server, model, environment["MODEL_SERVER"], api, crew, client)
            try:
                for service in stack.services:
                    service.start()
                wait_until_answered(client, "/health/ready", api.running, seconds=120)
                if crew:
                    wait_until_answered(client, "/health/workers", api.running)
                yield stack
            finally:
                for service in stack.services:
                    if service.process is not None and service.process.poll() is None:
                        service.kill()
