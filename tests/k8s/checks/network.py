"""See that network policies allow every connection that is configured, and no other."""

import re
from collections.abc import Iterator
from typing import Final

from tests.k8s.manifests import Manifests, Object, Workload, image_name, matches, texts

_MONITORING: Final = {"kubernetes.io/metadata.name": "monitoring"}
_INGRESS: Final = {"kubernetes.io/metadata.name": "ingress-nginx"}
_DNS: Final = {"kubernetes.io/metadata.name": "kube-system"}
Edge = tuple[str, str, int]


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of connections that are denied though configured, or allowed though not."""
    if manifests.named("NetworkPolicy", "default-deny") is None:
        return
    wanted, allowed = set(wanted_edges(manifests)), set(allowed_edges(manifests))
    for source, target, port in sorted(wanted - allowed):
        yield f"{source} may not call {target} on {port}"
    for source, target, port in sorted(allowed - wanted):
        yield f"{source} may call {target} on {port}, which it never does"
    yield from _outside(manifests)


def wanted_edges(manifests: Manifests) -> Iterator[Edge]:
    """Give the connections that variables and arguments name, as SERVICE:PORT."""
    services = {service["metadata"]["name"]: service for service in manifests.of("Service")}
    for workload in manifests.workloads():
        for container in workload.spec["containers"]:
            said = [*manifests.environment(container).values(), *texts(container.get("args", []))]
            for name, port in re.findall(
                r"(?:^|[@/])([a-z][a-z-]*):(\d+)\b", "\n".join(said), re.M
            ):
                if name in services:
                    for target in _behind(manifests, services[name]):
                        number = _target_port(services[name], int(port), target)
                        yield workload.name, target.name, number


def _behind(manifests: Manifests, service: Object) -> list[Workload]:
    return manifests.selected({"matchLabels": service["spec"]["selector"]})


def _target_port(service: Object, number: int, target: Workload) -> int:
    names = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    return target.ports().get(names.get(number, ""), 0)


def allowed_edges(manifests: Manifests) -> Iterator[Edge]:
    """Give the connections between pods that policies on both sides allow."""
    for source in manifests.workloads():
        for target in manifests.workloads():
            for number in target.ports().values():
                if _may_leave(manifests, source, target, number) and _may_enter(
                    manifests, source, target, number
                ):
                    yield source.name, target.name, number


def _policies(manifests: Manifests, workload: Workload, direction: str) -> list[Object]:
    return [
        policy["spec"]
        for policy in manifests.of("NetworkPolicy")
        if matches(policy["spec"]["podSelector"], workload.labels)
        and direction in policy["spec"]["policyTypes"]
    ]


def _may_leave(manifests: Manifests, source: Workload, target: Workload, number: int) -> bool:
    return any(
        _has_port(rule, target, number) and _is_peer(rule["to"], target)
        for spec in _policies(manifests, source, "Egress")
        for rule in spec.get("egress", [])
    )


def _may_enter(manifests: Manifests, source: Workload, target: Workload, number: int) -> bool:
    return any(
        _has_port(rule, target, number) and _is_peer(rule["from"], source)
        for spec in _policies(manifests, target, "Ingress")
        for rule in spec.get("ingress", [])
    )


def _is_peer(peers: list[Object], workload: Workload) -> bool:
    return any(
        "namespaceSelector" not in peer
        and "podSelector" in peer
        and matches(peer["podSelector"], workload.labels)
        for peer in peers
    )


def _has_port(rule: Object, target: Workload, number: int) -> bool:
    return any(
        number
        == (target.ports().get(port["port"]) if isinstance(port["port"], str) else port["port"])
        for port in rule["ports"]
    )


def _outside(manifests: Manifests) -> Iterator[str]:
    """Complain of what comes from other namespaces or goes there."""
    yield from _scrapes(manifests)
    yield from _published(manifests)
    callers = {source for source, _, _ in wanted_edges(manifests)}
    for workload in manifests.workloads():
        if workload.name in callers and not _reaches_names(manifests, workload):
            yield f"{workload.name} may not ask for names"
        if _uses_cloud(manifests, workload) and not _reaches_outside(manifests, workload):
            yield f"{workload.name} may not call Cloudinary"


def _scrapes(manifests: Manifests) -> Iterator[str]:
    for monitor in manifests.of("PodMonitor", "ServiceMonitor"):
        spec = monitor["spec"]
        for target in manifests.selected(spec["selector"]):
            for endpoint in spec.get("endpoints") or spec["podMetricsEndpoints"]:
                number = target.ports().get(endpoint["port"], 0)
                if not _lets_in(manifests, target, number, _MONITORING):
                    yield f"Prometheus may not ask {target.name} on {number}"


def _published(manifests: Manifests) -> Iterator[str]:
    for ingress in manifests.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = manifests.named("Service", path["backend"]["service"]["name"])
                for target in _behind(manifests, service) if service else []:
                    if not _lets_in(manifests, target, target.ports()["http"], _INGRESS):
                        yield f"the ingress may not call {target.name}"


def _uses_cloud(manifests: Manifests, workload: Workload) -> bool:
    return any(
        image_name(each) == "cxr-service" and "CLOUDINARY_CLOUD_NAME" in manifests.environment(each)
        for each in workload.containers()
    )


def _lets_in(manifests: Manifests, target: Workload, number: int, namespace: Object) -> bool:
    return any(
        _has_port(rule, target, number)
        and any(matches(peer.get("namespaceSelector"), namespace) for peer in rule["from"])
        for spec in _policies(manifests, target, "Ingress")
        for rule in spec.get("ingress", [])
    )


def _reaches_names(manifests: Manifests, source: Workload) -> bool:
    return any(
        {(port["port"], port.get("protocol")) for port in rule["ports"]}
        >= {(53, "UDP"), (53, "TCP")}
        and any(matches(peer.get("namespaceSelector"), _DNS) for peer in rule["to"])
        for spec in _policies(manifests, source, "Egress")
        for rule in spec.get("egress", [])
    )


def _reaches_outside(manifests: Manifests, source: Workload) -> bool:
    return any(
        {port["port"] for port in rule["ports"]} == {443}
        and {"0.0.0.0/0", "::/0"} <= {peer.get("ipBlock", {}).get("cidr") for peer in rule["to"]}
        for spec in _policies(manifests, source, "Egress")
        for rule in spec.get("egress", [])
    )
