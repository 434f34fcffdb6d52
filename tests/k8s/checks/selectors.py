"""See that what selects finds what it is meant for."""

import re
from collections.abc import Iterator
from typing import Final

from tests.k8s.manifests import Manifests, Object, Workload, matches

# Pods that others start in this namespace: https://cert-manager.io/docs/configuration/acme/http01/
_FOREIGN: Final = "acme.cert-manager.io/http01-solver"


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of selectors that take nothing, or what is another's."""
    yield from _controllers(manifests)
    for service in manifests.of("Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        if not [each for each in manifests.selected(selector) if each.runs_on]:
            yield f"Service/{service['metadata']['name']}: selects no pods"
    for budget in manifests.of("PodDisruptionBudget"):
        found = manifests.selected(budget["spec"]["selector"])
        name = f"PodDisruptionBudget/{budget['metadata']['name']}"
        if not found:
            yield f"{name}: selects no pods"
        for each in found:
            if each.source["spec"].get("replicas", 2) < 2 and len(found) == 1:
                yield f"{name}: {each.name} is one pod, and its node could not be emptied"
    yield from _service_monitors(manifests)
    yield from _pod_monitors(manifests)
    yield from _scalers(manifests)
    for policy in manifests.of("NetworkPolicy"):
        yield from _policy(manifests, policy)


def _controllers(manifests: Manifests) -> Iterator[str]:
    for workload in manifests.workloads():
        for constraint in workload.spec.get("topologySpreadConstraints", []):
            if not matches(constraint["labelSelector"], workload.labels):
                yield f"{workload.name}: spreads other pods than its own"
        for term in nearness(workload):
            if not manifests.selected(term["labelSelector"]):
                yield f"{workload.name}: wants to be near no pods"
        if not workload.runs_on:
            continue
        selector = workload.source["spec"]["selector"]
        if not matches(selector, workload.labels):
            yield f"{workload.name}: does not select its own pods"
        for other in manifests.workloads():
            if other.name != workload.name and matches(selector, other.labels):
                yield f"{workload.name}: selects the pods of {other.name}"


def nearness(workload: Workload) -> list[Object]:
    """Return what a workload's pods would rather be near to."""
    affinity = workload.spec.get("affinity", {}).get("podAffinity", {})
    preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return [each["podAffinityTerm"] for each in preferred]


def _service_monitors(manifests: Manifests) -> Iterator[str]:
    for monitor in manifests.of("ServiceMonitor"):
        name = f"ServiceMonitor/{monitor['metadata']['name']}"
        services = [
            service
            for service in manifests.of("Service")
            if matches(monitor["spec"]["selector"], service["metadata"].get("labels", {}))
        ]
        if len(services) != 1:
            yield f"{name}: selects {len(services)} Services"
        for service in services:
            names = {port["name"] for port in service["spec"]["ports"]}
            for endpoint in monitor["spec"]["endpoints"]:
                if endpoint.get("port") not in names:
                    yield f"{name}: the Service has no port {endpoint.get('port')!r}"


def _pod_monitors(manifests: Manifests) -> Iterator[str]:
    for monitor in manifests.of("PodMonitor"):
        name = f"PodMonitor/{monitor['metadata']['name']}"
        workloads = manifests.selected(monitor["spec"]["selector"])
        if not workloads:
            yield f"{name}: selects no pods"
        for workload in workloads:
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                if endpoint.get("port") not in workload.ports():
                    yield f"{name}: {workload.name} has no port {endpoint.get('port')!r}"


def _scalers(manifests: Manifests) -> Iterator[str]:
    for scaler in manifests.of("ScaledObject"):
        spec = scaler["spec"]
        name = f"ScaledObject/{scaler['metadata']['name']}"
        target = manifests.named(
            spec["scaleTargetRef"].get("kind", "Deployment"), spec["scaleTargetRef"]["name"]
        )
        if target is None:
            yield f"{name}: no {spec['scaleTargetRef']['name']!r} to scale"
        elif "replicas" in target["spec"]:
            yield f"{name}: its target says how many replicas it wants, and would be set back to them"
        limits = spec["minReplicaCount"], spec["fallback"]["replicas"], spec["maxReplicaCount"]
        if not 1 <= limits[0] <= limits[1] <= limits[2]:
            yield f"{name}: expected min, fallback and max in this order, got {limits}"
        for trigger in spec["triggers"]:
            for metric, labels in re.findall(
                r"(cxr_\w+)(\{[^}]*\})?", trigger["metadata"]["query"]
            ):
                own = scaler["metadata"].get("namespace")
                if labels != f'{{namespace="{own}"}}':
                    yield f"{name}: {metric} is asked for in other namespaces than {own}"


def _policy(manifests: Manifests, policy: Object) -> Iterator[str]:
    name = f"NetworkPolicy/{policy['metadata']['name']}"
    spec = policy["spec"]
    if _FOREIGN in spec["podSelector"].get("matchLabels", {}):
        return
    targets = manifests.selected(spec["podSelector"])
    if not targets:
        yield f"{name}: selects no pods"
    for rule in spec.get("ingress", []):
        yield from (f"{name}: {text}" for text in _ports(rule, targets))
        for peer in rule["from"]:
            if "podSelector" in peer and not manifests.selected(peer["podSelector"]):
                yield f"{name}: lets nobody in"
    for rule in spec.get("egress", []):
        for peer in rule["to"]:
            if "namespaceSelector" in peer or "ipBlock" in peer:
                continue
            found = manifests.selected(peer["podSelector"])
            if not found:
                yield f"{name}: leads to no pods"
            yield from (f"{name}: {text}" for text in _ports(rule, found))


def _ports(rule: Object, targets: list[Workload]) -> Iterator[str]:
    for port in rule["ports"]:
        for target in targets:
            known = target.ports()
            if port["port"] not in known and port["port"] not in known.values():
                yield f"{target.name} has no port {port['port']!r}"
