"""Run two API processes and two workers on one Redis and one model server, each with figures of its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import wait_until_answered
from tests.support.ports import free_port
from tests.support.workers import CXR, Service, Stack, running_stack

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Process:
    """A process of the service and where Prometheus asks it."""

    service: Service
    client: httpx.Client

    def text(self) -> str:
        """Return its figures as it answers them."""
        answer = self.client.get("/metrics")
        assert answer.status_code == 200, answer.text
        return answer.text

    def samples(self) -> Samples:
        """Return its figures by name and labels."""
        return samples_of(self.text())


@dataclass
class Crew:
    """The processes of a service."""

    stack: Stack
    apis: list[Process]
    workers: list[Process]

    def total(self, name: str, /, **labels: str) -> float:
        """Return the sum of a metric over every process."""
        return sum(total(each.samples(), name, **labels) for each in [*self.apis, *self.workers])


def samples_of(text: str) -> Samples:
    """Parse Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples: Samples, name: str, /, **labels: str) -> float:
    """Return the sum of the samples of a name that have these labels among theirs."""
    wanted = set(labels.items())
    return sum(
        value for (found, pairs), value in samples.items() if found == name and wanted <= pairs
    )


@contextmanager
def running_crew(folder: Path, model_folder: Path, **settings: str) -> Iterator[Crew]:
    """Run everything until the block ends; the settings are those of every process."""
    with ExitStack() as stack:
        running = stack.enter_context(running_stack(folder, model_folder, workers=0, **settings))
        shared = running.api.environment
        port = free_port()
        second = Service([*CXR, "serve"], {**shared, "PORT": str(port)}, folder / "api2.log")
        apis = [Process(running.api, running.client), Process(second, _client(stack, port))]
        workers = []
        for number in range(2):
            port = free_port()
            environment = {**shared, "METRICS_PORT": str(port)}
            worker = Service([*CXR, "worker"], environment, folder / f"worker{number}.log")
            workers.append(Process(worker, _client(stack, port)))
        started = [second, *(each.service for each in workers)]
        try:
            for service in started:
                service.start()
            wait_until_answered(apis[1].client, "/health/ready", second.running)
            for each in workers:
                wait_until_answered(each.client, "/metrics", each.service.running)
            wait_until_answered(running.client, "/health/workers", running.api.running)
            yield Crew(running, apis, workers)
        finally:
            for service in started:
                if service.process is not None and service.process.poll() is None:
                    service.kill()


def _client(stack: ExitStack, port: int) -> httpx.Client:
    return stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
