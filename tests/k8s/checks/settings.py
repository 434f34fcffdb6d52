"""See that variables are settings, that the start would not be refused, and that memory is enough for them."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from orchestrator.dashboard import check_access
from orchestrator.settings import Settings, SettingsError
from tests.k8s.manifests import Manifests, Object, image_name
from tests.support.reckoning import api_memory, memory_limit, worker_memory

# A part of another variable, and what TLS reads.
_OTHERS: Final = {"REDIS_PASSWORD", "SSL_CERT_FILE"}
_NAMES: Final = {field.name.upper() for field in dataclasses.fields(Settings)}


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of variables that are no settings, whose values can't be used together, or ask for more memory."""
    for workload in manifests.workloads():
        for container in workload.containers():
            if image_name(container) != "cxr-service":
                continue
            environment = manifests.environment(container)
            for name in sorted(set(environment) - _NAMES - _OTHERS):
                yield f"{workload.name}: {name} is no setting"
            try:
                settings = Settings.from_mapping(environment)
                if container["args"] == ["dashboard"]:
                    check_access(settings)
            except SettingsError as err:
                yield f"{workload.name}: {err}"
                continue
            if container["args"] != ["dashboard"]:
                yield from _memory(workload.name, container, settings)
            yield from _ports(workload.name, container, settings)


def _ports(name: str, container: Object, settings: Settings) -> Iterator[str]:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listens = {"http": settings.port, "metrics": settings.metrics_port}
    if container["args"] == ["dashboard"]:
        listens = {"http": settings.dashboard_port}
    for port, number in ports.items():
        if listens.get(port) != number:
            yield f"{name}: port {port} is {listens.get(port)} to the process"


def _memory(name: str, container: Object, settings: Settings) -> Iterator[str]:
    most = api_memory(settings) if container["args"] == ["serve"] else worker_memory(settings)
    if most > memory_limit(container["resources"]["limits"]["memory"]):
        yield f"{name}: may take {most / 1e9:g} GB of memory, and is killed before"
