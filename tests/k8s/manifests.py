"""Look at a set of Kubernetes objects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Object = dict[str, Any]

OWN_IMAGES: Final = ("cxr-service", "cxr-model-server", "cxr-model")


@dataclass(frozen=True)
class Workload:
    """What makes pods, and the pods it makes.

    Attributes:
        name: Kind and name, as ``Deployment/api``.
        source: The whole object.
        labels: Labels of its pods.
        spec: The specification of its pods.
    """

    name: str
    source: Object
    labels: Mapping[str, str]
    spec: Object

    @property
    def kind(self) -> str:
        """Return the kind of the object."""
        return str(self.source["kind"])

    @property
    def runs_on(self) -> bool:
        """Tell whether its pods are meant to run for ever."""
        return self.kind in ("Deployment", "StatefulSet")

    def containers(self) -> list[Object]:
        """Return those that run, and those that run before."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def ports(self) -> dict[str, int]:
        """Return the named ports of its pods."""
        return {
            port["name"]: port["containerPort"]
            for container in self.spec["containers"]
            for port in container.get("ports", [])
        }


class Manifests:
    """A set of objects that are applied together."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of some kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        """Return one object, if it is there."""
        found = [each for each in self.of(kind) if each["metadata"]["name"] == name]
        return found[0] if found else None

    def workloads(self) -> list[Workload]:
        """Return everything that makes pods."""
        return [found for each in self.objects if (found := workload(each)) is not None]

    def selected(self, selector: Object | None) -> list[Workload]:
        """Return the workloads whose pods a label selector selects."""
        return [each for each in self.workloads() if matches(selector, each.labels)]

    def environment(self, container: Object) -> dict[str, str]:
        """Return a container's variables; what comes from a Secret is a word in angle brackets."""
        values: dict[str, str] = {}
        for source in container.get("envFrom", []):
            config = self.named("ConfigMap", source["configMapRef"]["name"])
            values |= config["data"] if config else {}
        for entry in container.get("env", []):
            if "value" in entry:
                text = str(entry["value"])
                for name, value in values.items():
                    text = text.replace(f"$({name})", value)
                values[entry["name"]] = text
            else:
                values[entry["name"]] = "<secret>"
        return values


def workload(source: Object) -> Workload | None:
    """Return what an object makes of pods, if it makes any."""
    template = source.get("spec", {})
    if source["kind"] == "CronJob":
        template = template["jobTemplate"]["spec"]
    if source["kind"] not in ("CronJob", "Job", "Deployment", "StatefulSet", "DaemonSet"):
        return None
    template = template["template"]
    return Workload(
        f"{source['kind']}/{source['metadata']['name']}",
        source,
        template["metadata"].get("labels", {}),
        template["spec"],
    )


def image_name(container: Object) -> str:
    """Return a container's image without registry and tag."""
    return str(container["image"]).rpartition("/")[2].partition(":")[0].partition("@")[0]


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector takes an object; none takes nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", [])
    )


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def texts(value: Any) -> Iterator[str]:
    """Give every text in a nest of lists and objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
