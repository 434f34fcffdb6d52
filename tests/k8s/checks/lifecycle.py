"""See that pods end their work before they are ended, and that objects don't get into each other's way."""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy

from orchestrator.serve import GRACE_SECONDS
from orchestrator.settings import Settings
from tests.k8s.manifests import Manifests, Object, Workload, image_name


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of pods that are cut off, alone on one node, or different from what they stand in for."""
    for workload in manifests.workloads():
        for complaint in (*_grace(manifests, workload), *_spread(workload)):
            yield f"{workload.name}: {complaint}"
    yield from _canaries(manifests)
    yield from _namespaces(manifests)


def _grace(manifests: Manifests, workload: Workload) -> Iterator[str]:
    grace = workload.spec.get("terminationGracePeriodSeconds", 30)
    for container in workload.spec["containers"]:
        if image_name(container) != "cxr-service":
            continue
        environment = manifests.environment(container)
        if "<secret>" in environment.values():
            environment = {k: v for k, v in environment.items() if v != "<secret>"}
        settings = Settings.from_mapping(environment)
        if container["args"] == ["worker"] and grace <= settings.job_timeout:
            yield f"ends after {grace} s, but a job may take {settings.job_timeout}"
        if container["args"] == ["serve"]:
            hook = (
                container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
            )
            if hook[:1] != ["sleep"]:
                yield "ends at once, while it is still sent requests"
            elif grace < int(hook[1]) + max(settings.model_timeout, GRACE_SECONDS) + 5:
                yield f"ends after {grace} s, of which it sleeps {hook[1]}"


def _spread(workload: Workload) -> Iterator[str]:
    replicas = workload.source["spec"].get("replicas", 2)
    if workload.runs_on and replicas > 1 and not workload.spec.get("topologySpreadConstraints"):
        yield "its pods may all be on one node"
    strategy = workload.source["spec"].get("strategy", {}).get("rollingUpdate", {})
    if (
        workload.kind == "Deployment"
        and strategy.get("maxUnavailable") == strategy.get("maxSurge") == 0
    ):
        yield "can never be rolled"


def _canaries(manifests: Manifests) -> Iterator[str]:
    for canary in manifests.of("Deployment"):
        name = canary["metadata"]["name"]
        original = manifests.named("Deployment", name.removesuffix("-canary"))
        if not name.endswith("-canary"):
            continue
        if original is None:
            yield f"Deployment/{name}: stands in for nothing"
        elif _common(canary) != _common(original):
            yield f"Deployment/{name}: differs from what it stands in for"
        elif _label(manifests, canary) == _label(manifests, original):
            yield f"Deployment/{name}: asks for the same version"


def _common(deployment: Object) -> Object:
    """Return a Deployment without what sets a canary apart."""
    each = deepcopy(deployment)
    del each["metadata"]["name"]
    each["spec"].pop("replicas", None)
    labelled = (each["metadata"]["labels"], each["spec"]["selector"]["matchLabels"])
    for labels in (*labelled, each["spec"]["template"]["metadata"]["labels"]):
        labels["track"] = re.sub("^(stable|canary)$", "", labels["track"])
    for container in each["spec"]["template"]["spec"]["containers"]:
        container["env"] = [e for e in container["env"] if e["name"] != "MODEL_LABEL"]
    return each


def _label(manifests: Manifests, deployment: Object) -> str | None:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return manifests.environment(container).get("MODEL_LABEL")


def _namespaces(manifests: Manifests) -> Iterator[str]:
    (namespace,) = manifests.of("Namespace")
    names: Counter[tuple[str, str]] = Counter()
    for each in manifests.objects:
        name = each["kind"], each["metadata"]["name"]
        names[name] += 1
        if each["kind"] != "Namespace":
            found = each["metadata"].get("namespace")
            if found != namespace["metadata"]["name"]:
                yield f"{'/'.join(name)}: is in namespace {found!r}"
    for name, count in names.items():
        if count > 1:
            yield f"{'/'.join(name)}: is there {count} times"
