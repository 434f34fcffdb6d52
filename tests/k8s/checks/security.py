"""Hold pods against the restricted Pod Security Standard, which the namespace enforces, and our own habits.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterator
from typing import Final

from tests.k8s.manifests import Manifests, Object, Workload

_VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
}
_SELINUX: Final = {None, "", "container_t", "container_init_t", "container_kvm_t"}
_PROFILES: Final = {"RuntimeDefault", "Localhost"}
_LEVELS: Final = ("enforce", "audit", "warn")


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of pods that the standard refuses, and of more rights than are needed."""
    for namespace in manifests.of("Namespace"):
        labels = namespace["metadata"].get("labels", {})
        for level in _LEVELS:
            if labels.get(f"pod-security.kubernetes.io/{level}") != "restricted":
                yield f"Namespace/{namespace['metadata']['name']}: does not {level} restricted"
    for account in manifests.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount/{account['metadata']['name']}: mounts a token"
    for workload in manifests.workloads():
        for complaint in (*_pod(workload.spec), *_habits(workload)):
            yield f"{workload.name}: {complaint}"


def _pod(spec: Object) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= _VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(sorted(kinds))}"
    pod = spec.get("securityContext", {})
    for sysctl in pod.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        for complaint in _container(container, pod):
            yield f"{container['name']}: {complaint}"
    if spec.get("ephemeralContainers"):
        yield "ephemeral containers"


def _container(container: Object, pod: Object) -> Iterator[str]:
    own = container.get("securityContext", {})
    effective = {**pod, **own}
    yield from _rights(own)
    if effective.get("runAsNonRoot") is not True or effective.get("runAsUser", 1) == 0:
        yield "may run as root"
    yield from _confinement(effective)
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"takes port {port['hostPort']} of the host"


def _rights(own: Object) -> Iterator[str]:
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate its privileges"
    if "ALL" not in capabilities.get("drop", []):
        yield "keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if own.get("procMount", "Default") != "Default":
        yield "unmasks /proc"


def _confinement(effective: Object) -> Iterator[str]:
    if effective.get("seccompProfile", {}).get("type") not in _PROFILES:
        yield "has no seccomp profile"
    options = effective.get("seLinuxOptions", {})
    if options.get("type") not in _SELINUX or options.get("user") or options.get("role"):
        yield "chooses SELinux options"
    if effective.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in _PROFILES:
        yield "chooses an AppArmor profile"
    if effective.get("windowsOptions", {}).get("hostProcess"):
        yield "is a host process"


def _habits(workload: Workload) -> Iterator[str]:
    spec = workload.spec
    if spec.get("automountServiceAccountToken") is not False:
        yield "mounts a token"
    # Kubernetes sets NAME_PORT for every Service, and a Service may be named as one of our settings begins.
    if spec.get("enableServiceLinks") is not False:
        yield "gets variables of every Service"
    for container in workload.containers():
        name = container["name"]
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            yield f"{name}: may write to its root"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})):
            yield f"{name}: requests no cpu or memory"
        if "memory" not in resources.get("limits", {}):
            yield f"{name}: has no memory limit"
    for volume in spec.get("volumes", []):
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} has no limit"
