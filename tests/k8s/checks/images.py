"""See that images are pinned, and those of one release are used together."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache

import yaml

from tests.k8s.build import ROOT
from tests.k8s.manifests import OWN_IMAGES, Manifests, image_name


@cache
def expected_tags() -> dict[str, str]:
    """Return which tags each image may have, as patterns."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    serving = re.search(
        r"^ARG TF_SERVING_TAG=(\S+)", (ROOT / "serving/Dockerfile").read_text(), re.M
    )
    assert serving is not None
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return {
        "cxr-service": re.escape(version),
        "cxr-model-server": re.escape(serving[1]) + r"(-gpu)?",
        "cxr-model": r"\d+",
        "redis": re.escape(compose["redis"]["image"].partition(":")[2]),
    }


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of images that may change under their name, or that belong to another release."""
    for workload in manifests.workloads():
        for container in workload.containers():
            image, name = container["image"], image_name(container)
            tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
            if not re.search(r"\d", tag) or tag == "latest":
                yield f"{workload.name}: {image} is not pinned"
            elif name not in expected_tags():
                yield f"{workload.name}: {image} is none of {', '.join(OWN_IMAGES)} and redis"
            elif not re.fullmatch(expected_tags()[name], tag):
                yield f"{workload.name}: expected {name}:{expected_tags()[name]}, got {tag}"
            elif container.get("imagePullPolicy", "IfNotPresent") != "IfNotPresent":
                yield f"{workload.name}: {image} is pulled though it is pinned"
