"""See that what an object names exists: ConfigMaps, Secrets, keys, files, volumes, accounts, ports."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from tests.k8s.build import ROOT
from tests.k8s.manifests import Manifests, Object, Workload, texts

# docs/kubernetes.md has the commands that create what is in no manifest.
_GUIDE: Final = ROOT / "docs" / "kubernetes.md"
_CREATED: Final = re.compile(r"create secret generic (\S+)(.*?)(?:\n## |\Z)", re.DOTALL)
_KEY: Final = re.compile(r"--from-(?:literal|file)=([\w.-]+)=")


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of names that nothing has."""
    for workload in manifests.workloads():
        complaints = (
            *_sources(manifests, workload),
            *_volumes(manifests, workload),
            *_files(manifests, workload),
        )
        for complaint in complaints:
            yield f"{workload.name}: {complaint}"
    yield from _services(manifests)
    yield from _ingresses(manifests)


@cache
def documented_secrets() -> dict[str, set[str]]:
    """Return the keys of the Secrets that the guide tells to create."""
    created: dict[str, set[str]] = {}
    for name, options in _CREATED.findall(_GUIDE.read_text()):
        created.setdefault(name, set()).update(_KEY.findall(options))
    return created


def _sources(manifests: Manifests, workload: Workload) -> Iterator[str]:
    for container in workload.containers():
        for source in container.get("envFrom", []):
            yield from _config(manifests, source["configMapRef"]["name"], [])
        for entry in container.get("env", []):
            origin = entry.get("valueFrom", {})
            if "configMapKeyRef" in origin:
                reference = origin["configMapKeyRef"]
                yield from _config(manifests, reference["name"], [reference["key"]])
            if "secretKeyRef" in origin:
                reference = origin["secretKeyRef"]
                yield from _secret(reference["name"], [reference["key"]])
        yield from _variables(container)
    account = workload.spec.get("serviceAccountName", "")
    if manifests.named("ServiceAccount", account) is None:
        yield f"no ServiceAccount {account!r}"


def _variables(container: Object) -> Iterator[str]:
    """Complain of $(NAME) before NAME is known, which is left as it stands."""
    known: set[str] = set()
    for entry in container.get("env", []):
        for name in re.findall(r"\$\((\w+)\)", str(entry.get("value", ""))):
            if name not in known:
                yield f"{container['name']}: $({name}) is not known where it is used"
        known.add(entry["name"])


def _config(manifests: Manifests, name: str, wanted: list[str]) -> Iterator[str]:
    config = manifests.named("ConfigMap", name)
    if config is None:
        yield f"no ConfigMap {name!r}"
        return
    for key in wanted:
        if key not in config.get("data", {}):
            yield f"ConfigMap {name} has no {key!r}"


def _secret(name: str, wanted: list[str]) -> Iterator[str]:
    created = documented_secrets()
    if name not in created:
        yield f"docs/kubernetes.md creates no Secret {name!r}"
        return
    for key in wanted:
        if key not in created[name]:
            yield f"docs/kubernetes.md creates Secret {name} without {key!r}"


def _volumes(manifests: Manifests, workload: Workload) -> Iterator[str]:
    claims = workload.source["spec"].get("volumeClaimTemplates", [])
    known = {claim["metadata"]["name"] for claim in claims}
    for volume in workload.spec.get("volumes", []):
        known.add(volume["name"])
        keys = [item["key"] for item in (_of(volume).get("items") or [])]
        if "configMap" in volume:
            yield from _config(manifests, volume["configMap"]["name"], keys)
        if "secret" in volume:
            yield from _secret(volume["secret"]["secretName"], keys)
        if "persistentVolumeClaim" in volume:
            name = volume["persistentVolumeClaim"]["claimName"]
            if name not in _claims(manifests):
                yield f"no PersistentVolumeClaim {name!r}"
    mounted: set[str] = set()
    for container in workload.containers():
        for mount in container.get("volumeMounts", []):
            mounted.add(mount["name"])
            if mount["name"] not in known:
                yield f"{container['name']}: no volume {mount['name']!r}"
    for name in sorted(known - mounted):
        yield f"volume {name!r} is mounted nowhere"


def _of(volume: Object) -> Object:
    found: Object = volume.get("configMap") or volume.get("secret") or {}
    return found


def _claims(manifests: Manifests) -> set[str]:
    """Return the claims there are, and those that StatefulSets will make."""
    names = {claim["metadata"]["name"] for claim in manifests.of("PersistentVolumeClaim")}
    for each in manifests.of("StatefulSet"):
        for claim in each["spec"].get("volumeClaimTemplates", []):
            for number in range(each["spec"].get("replicas", 1)):
                names.add(f"{claim['metadata']['name']}-{each['metadata']['name']}-{number}")
    return names


def _files(manifests: Manifests, workload: Workload) -> Iterator[str]:
    """Complain of files below a mounted ConfigMap or Secret that aren't among its keys."""
    volumes = {volume["name"]: volume for volume in workload.spec.get("volumes", [])}
    for container in workload.containers():
        said = list(texts([container.get(part, []) for part in ("command", "args", "env")]))
        if container["image"].rpartition("/")[2].startswith("cxr-model-server:"):
            said += re.findall(r'"(--[^"]+)"', (ROOT / "serving" / "Dockerfile").read_text())
        for mount in container.get("volumeMounts", []):
            files = _names(manifests, volumes.get(mount["name"], {}))
            if files is None:
                continue
            folder = re.escape(mount["mountPath"])
            for text in said:
                for name in re.findall(rf"(?<![\w/]){folder}/([\w.-]+)", text):
                    if name not in files:
                        yield f"{container['name']}: no {name!r} in {mount['mountPath']}"


def _names(manifests: Manifests, volume: Object) -> set[str] | None:
    """Return the files of a volume, if it is made of a ConfigMap or a Secret."""
    items = {item["path"] for item in (_of(volume).get("items") or [])}
    if "configMap" in volume:
        config = manifests.named("ConfigMap", volume["configMap"]["name"]) or {}
        return items or set(config.get("data", {}))
    if "secret" in volume:
        return items or documented_secrets().get(volume["secret"]["secretName"], set())
    return None


def _services(manifests: Manifests) -> Iterator[str]:
    for service in manifests.of("Service"):
        name = service["metadata"]["name"]
        for workload in manifests.selected({"matchLabels": service["spec"]["selector"]}):
            for port in service["spec"]["ports"]:
                if port.get("targetPort") not in workload.ports():
                    yield f"Service/{name}: {workload.name} has no port {port.get('targetPort')!r}"
    for each in manifests.of("StatefulSet"):
        if manifests.named("Service", each["spec"]["serviceName"]) is None:
            yield f"StatefulSet/{each['metadata']['name']}: no Service {each['spec']['serviceName']!r}"


def _public_urls(manifests: Manifests) -> set[str]:
    return {
        url
        for workload in manifests.workloads()
        for container in workload.containers()
        if (url := manifests.environment(container).get("PUBLIC_URL"))
    }


def _ingresses(manifests: Manifests) -> Iterator[str]:
    for ingress in manifests.of("Ingress"):
        name = f"Ingress/{ingress['metadata']['name']}"
        issued = "cert-manager.io/cluster-issuer" in ingress["metadata"].get("annotations", {})
        served = {host for tls in ingress["spec"].get("tls", []) for host in tls["hosts"]}
        for tls in ingress["spec"].get("tls", []):
            if not issued:
                yield from (f"{name}: {complaint}" for complaint in _secret(tls["secretName"], []))
        for rule in ingress["spec"]["rules"]:
            if rule["host"] not in served:
                yield f"{name}: {rule['host']} has no certificate"
            if f"https://{rule['host']}" not in _public_urls(manifests):
                yield f"{name}: PUBLIC_URL is not https://{rule['host']}"
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = manifests.named("Service", backend["name"])
                ports = service["spec"]["ports"] if service else []
                if backend["port"].get("name") not in {port["name"] for port in ports}:
                    yield f"{name}: no Service {backend['name']!r} with that port"
