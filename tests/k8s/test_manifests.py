"""Overlays and components build together and hold; ``make manifests`` tries every set of components."""

import re
from pathlib import Path

import pytest
import yaml

from tests.k8s.build import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    Combination,
    build,
    can_build,
    every_combination,
    render,
    restore_job,
    write,
)
from tests.k8s.checks.selectors import nearness
from tests.k8s.every_check import complaints
from tests.k8s.manifests import Manifests

pytestmark = pytest.mark.skipif(not can_build(), reason="there is no kubectl with kustomize 5")

# Pairs with one overlay, as the other changes the model servers alone.
FEW = [
    each
    for each in every_combination()
    if len(each.components) in (0, 1, len(COMPONENTS))
    or (each.overlay == "cpu" and len(each.components) == 2)
]


@pytest.mark.parametrize("combination", FEW, ids=str)
def test_a_combination_holds(combination: Combination) -> None:
    assert complaints(build(combination)) == []


def test_every_set_of_components_is_a_combination() -> None:
    assert set(OVERLAYS) >= {"cpu", "gpu"}
    assert len(set(every_combination())) == len(OVERLAYS) * 2 ** len(COMPONENTS)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_says_what_it_is(name: str) -> None:
    text = (K8S / "components" / name / "README.md").read_text()
    assert text.startswith("# ")
    guide = (K8S.parent / "docs" / "kubernetes.md").read_text()
    assert f"k8s/components/{name}" in guide


def test_everything_moves_to_another_namespace(tmp_path: Path) -> None:
    write(Combination("cpu", COMPONENTS), tmp_path)
    file = tmp_path / "kustomization.yaml"
    readme = (K8S / "components" / "keda" / "README.md").read_text()
    (snippet,) = re.findall(r"^```yaml\n(namespace: .*?)^```$", readme, re.DOTALL | re.MULTILINE)
    file.write_text(file.read_text() + snippet)
    manifests = render(tmp_path)
    assert manifests.named("Namespace", "elsewhere") is not None
    assert complaints(manifests) == []


def test_a_changed_file_rolls_the_pods_that_use_it(tmp_path: Path) -> None:
    write(Combination("cpu", ()), tmp_path)
    before = render(tmp_path)
    (tmp_path / "models.config").write_text("# another\n")
    kustomization = yaml.safe_load((tmp_path / "kustomization.yaml").read_text())
    changed = [{"name": "model-server", "behavior": "merge", "files": ["models.config"]}]
    changed.append({"name": "cxr-settings", "behavior": "merge", "literals": ["LOG_LEVEL=debug"]})
    kustomization["configMapGenerator"] = [{**each, "namespace": "cxr"} for each in changed]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    after = render(tmp_path)
    templates = {
        each.name: (each.spec, other.spec)
        for each, other in zip(before.workloads(), after.workloads(), strict=True)
    }
    rolled = {name for name, (old, new) in templates.items() if old != new}
    assert rolled == {"Deployment/model-server", "Deployment/api", "Deployment/worker"}


@pytest.mark.parametrize("namespace", ["cxr", "elsewhere"])
def test_the_restore_job_fits_the_backup_in_any_namespace(namespace: str, tmp_path: Path) -> None:
    write(Combination("cpu", ("redis-backup",)), tmp_path)
    file = tmp_path / "kustomization.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "namespace": namespace}))
    with_it = render(tmp_path).objects + restore_job(namespace)
    assert complaints(Manifests(with_it)) == []


def test_the_volume_of_backups_lies_where_the_restore_job_can_mount_it_beside_that_of_redis() -> (
    None
):
    manifests = build(Combination("cpu", ("redis-backup",)))
    (backup,) = [each for each in manifests.workloads() if each.kind == "CronJob"]
    (term,) = nearness(backup)
    assert term["topologyKey"] == "topology.kubernetes.io/zone"
    assert [each.name for each in manifests.selected(term["labelSelector"])] == [
        "StatefulSet/redis"
    ]
