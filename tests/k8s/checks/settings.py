"""See that every variable of the service is a setting of it, and that the start would not be refused."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from orchestrator.dashboard import check_access
from orchestrator.settings import Settings, SettingsError
from tests.k8s.manifests import Manifests, image_name

# Parts of other variables, which the service itself does not read.
_PARTS: Final = {"REDIS_PASSWORD"}
_NAMES: Final = {field.name.upper() for field in dataclasses.fields(Settings)}


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of variables that are no settings, or whose values can't be used together."""
    for workload in manifests.workloads():
        for container in workload.containers():
            if image_name(container) != "cxr-service":
                continue
            environment = manifests.environment(container)
            for name in sorted(set(environment) - _NAMES - _PARTS):
                yield f"{workload.name}: {name} is no setting"
            try:
                settings = Settings.from_mapping(environment)
                if container["args"] == ["dashboard"]:
                    check_access(settings)
            except SettingsError as err:
                yield f"{workload.name}: {err}"
                continue
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            listens = {"http": settings.port, "metrics": settings.metrics_port}
            if container["args"] == ["dashboard"]:
                listens = {"http": settings.dashboard_port}
            for name, number in ports.items():
                if listens.get(name) != number:
                    yield f"{workload.name}: port {name} is {listens.get(name)} to the process"
