"""See that probes and monitors ask what answers."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from orchestrator.routes import health
from orchestrator.settings import Settings
from serving.contract import MODEL_NAME
from serving.embedded.config import read_metrics_path
from tests.k8s.build import ROOT
from tests.k8s.manifests import Manifests, Object, Workload, image_name

_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
_METRICS: Final = "/metrics"
_PATIENCE: Final = 60  # seconds without an answer before a container is started anew


@cache
def paths() -> dict[tuple[str, str], set[str]]:
    """Return what each image answers, by the name of its port."""
    status = f"/v1/models/{MODEL_NAME}"
    metrics = read_metrics_path(ROOT / "serving" / "monitoring.config")
    return {
        ("cxr-service", "http"): {route.path for route in health.ROUTES},
        ("cxr-service", "metrics"): {_METRICS},
        ("cxr-model-server", "rest"): {status, metrics or ""},
    }


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of probes that are missing, ask for what is not there, or give up soon."""
    for workload in manifests.workloads():
        for container in workload.spec["containers"]:
            wanted = (
                _PROBES if _is_asked(manifests, workload) else ("startupProbe", "livenessProbe")
            )
            for kind in wanted if workload.runs_on else ():
                if kind not in container:
                    yield f"{workload.name}: no {kind}"
            for kind in _PROBES:
                if kind in container:
                    for complaint in _probe(container, container[kind]):
                        yield f"{workload.name}: {kind}: {complaint}"
            if _seconds(container.get("livenessProbe", {"failureThreshold": 99})) < _PATIENCE:
                yield f"{workload.name}: livenessProbe: gives up within {_PATIENCE} seconds"
        yield from _ports(workload)
    yield from _monitors(manifests)


def _seconds(probe: Object) -> int:
    """Return how long a probe must fail before something is done."""
    return int(probe.get("periodSeconds", 10)) * int(probe.get("failureThreshold", 3))


def _is_asked(manifests: Manifests, workload: Workload) -> bool:
    """Tell whether the load is balanced over a workload's pods, beyond their metrics."""
    return any(
        workload in manifests.selected({"matchLabels": service["spec"]["selector"]})
        for service in manifests.of("Service")
    )


def _probe(container: Object, probe: Object) -> Iterator[str]:
    named = {port["name"] for port in container.get("ports", [])}
    image = image_name(container)
    if "httpGet" in probe:
        request = probe["httpGet"]
        if request["port"] not in named:
            yield f"no port {request['port']!r}"
        elif request["path"] not in paths().get((image, request["port"]), set()):
            yield f"{image} has no {request['path']} on {request['port']}"
    elif "tcpSocket" in probe:
        if probe["tcpSocket"]["port"] not in named:
            yield f"no port {probe['tcpSocket']['port']!r}"
    elif image == "cxr-model-server":
        said = " ".join(probe["exec"]["command"])
        asked = re.search(r"/dev/tcp/127\.0\.0\.1/(\d+) .*'GET (\S+) HTTP", said)
        ports = {port["containerPort"]: port["name"] for port in container["ports"]}
        if asked is None or asked[2] not in paths().get(
            (image, ports.get(int(asked[1]), "")), set()
        ):
            yield f"{image} is not asked for its models"


def _ports(workload: Workload) -> Iterator[str]:
    """Complain of ports that the process in the container doesn't listen on."""
    for container in workload.spec["containers"]:
        image = image_name(container)
        if image == "cxr-model-server":
            flags = dict(re.findall(r'"--(\w+)=(\d+)"', (ROOT / "serving/Dockerfile").read_text()))
            listens = {"grpc": int(flags["port"]), "rest": int(flags["rest_api_port"])}
        elif image == "cxr-service":
            # tests/k8s/checks/settings.py sees that the environment says the same
            listens = {"http": Settings().port, "metrics": 9100}
            if container["args"] == ["dashboard"]:
                listens = {"http": Settings().dashboard_port}
        else:
            continue
        for port in container.get("ports", []):
            if listens.get(port["name"]) != port["containerPort"]:
                yield f"{workload.name}: nothing listens on {port['containerPort']} as {port['name']}"


def _monitors(manifests: Manifests) -> Iterator[str]:
    known = set().union(*paths().values())
    for monitor in manifests.of("ServiceMonitor", "PodMonitor"):
        spec = monitor["spec"]
        for endpoint in spec.get("endpoints") or spec.get("podMetricsEndpoints"):
            by_name = {port: answers for (_, port), answers in paths().items()}
            answers = by_name.get(endpoint["port"], set())
            if endpoint["path"] not in answers & known or endpoint["path"].startswith("/v1"):
                name = f"{monitor['kind']}/{monitor['metadata']['name']}"
                yield f"{name}: no metrics at {endpoint['path']} on {endpoint['port']}"
