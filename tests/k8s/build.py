"""Build overlays and components together, as an overlay of one's own would."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import yaml

from tests.k8s.manifests import Manifests

ROOT: Final = Path(__file__).parents[2]
K8S: Final = ROOT / "k8s"
OVERLAYS: Final = tuple(sorted(path.name for path in (K8S / "overlays").iterdir()))
# A canary brings pods that the other components then apply to.
COMPONENTS: Final = tuple(
    sorted((path.name for path in (K8S / "components").iterdir()), key=lambda n: (n != "canary", n))
)


@dataclass(frozen=True)
class Combination:
    """One overlay with some components."""

    overlay: str
    components: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join((self.overlay, *self.components))


def every_combination() -> Iterator[Combination]:
    """Give each overlay with every set of components."""
    for overlay in OVERLAYS:
        for count in range(len(COMPONENTS) + 1):
            for chosen in combinations(COMPONENTS, count):
                yield Combination(overlay, chosen)


@cache
def can_build() -> bool:
    """Tell whether there is a kubectl whose kustomize is new enough."""
    if shutil.which("kubectl") is None:
        return False
    done = subprocess.run(
        ["kubectl", "version", "--client", "--output=json"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout or "{}").get("kustomizeVersion", "v0")
    return int(found.lstrip("v").partition(".")[0]) >= 5


def build(combination: Combination) -> Manifests:
    """Return what ``kubectl kustomize`` makes of a combination."""
    with tempfile.TemporaryDirectory() as folder:
        write(combination, Path(folder))
        return render(Path(folder))


def write(combination: Combination, folder: Path) -> None:
    """Write an overlay that consists of a combination."""

    def relative(names: Sequence[str], kind: str) -> list[str]:
        return [os.path.relpath(K8S / kind / name, folder.resolve()) for name in names]

    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": relative([combination.overlay], "overlays"),
        "components": relative(combination.components, "components"),
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))


def render(folder: Path) -> Manifests:
    """Return what ``kubectl kustomize`` makes of a folder."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode or done.stderr:
        raise AssertionError(done.stderr)
    return Manifests(read(done.stdout))


def read(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML stream."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(text, loader) if each]


def restore_job(namespace: str) -> list[dict[str, Any]]:
    """Return what ``kubectl -n NAMESPACE apply`` makes of the job that is applied by hand, which names none itself."""
    objects = read((K8S / "components/redis-backup/restore.yaml").read_text())
    for each in objects:
        assert "namespace" not in each["metadata"]
        each["metadata"]["namespace"] = namespace
    return objects
