"""What docs/kubernetes.md and docs/operations.md tell to write and to type goes with the manifests."""

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from orchestrator.jobs import keys
from orchestrator.settings import Settings
from tests.k8s.build import (
    COMPONENTS,
    K8S,
    ROOT,
    Combination,
    build,
    can_build,
    render,
    restore_job,
    write,
)
from tests.k8s.checks.references import documented_secrets
from tests.k8s.every_check import complaints
from tests.k8s.manifests import Manifests

needs_kubectl = pytest.mark.skipif(not can_build(), reason="there is no kubectl with kustomize 5")

GUIDE = (ROOT / "docs" / "kubernetes.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
# Made by hand or by Kubernetes, as the commands before tell.
MADE = {"pod/redis-0", "job/backup-now"}


def everything() -> Manifests:
    return Manifests(build(Combination("cpu", COMPONENTS)).objects + restore_job("cxr"))


FIRST, REGISTRY, THRESHOLDS, AUTHORITIES = re.findall(
    r"^```yaml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE
)
(POLICIES,) = re.findall(
    r"^```yaml\n(.*?)^```$",
    (K8S / "components" / "network-policies" / "README.md").read_text(),
    re.DOTALL | re.MULTILINE,
)


def rendered(folder: Path, text: str) -> Manifests:
    """Render an overlay of this text in a copy of the tree."""
    copy = folder / "copy"
    for source in chain(
        K8S.rglob("*"), (ROOT / "serving").glob("*"), (ROOT / "monitoring").rglob("*")
    ):
        if source.is_file():
            target = copy / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    ours = copy / "k8s" / "overlays" / "ours"
    ours.mkdir()
    (ours / "kustomization.yaml").write_text(text)
    (ours / "thresholds.json").write_text("{}")
    (ours / "authorities.pem").write_text("certificates")
    (ours / "policies.yaml").write_text(POLICIES)
    return render(ours)


def with_snippets(*snippets: str) -> str:
    """Return the overlay to start from, with more in its lists."""
    overlay = yaml.safe_load(FIRST)
    for snippet in snippets:
        for key, entries in yaml.safe_load(snippet).items():
            overlay.setdefault(key, []).extend(entries)
    return yaml.safe_dump(overlay)


@needs_kubectl
def test_authorities_hold_in_that_overlay_for_all_who_call_receivers(tmp_path: Path) -> None:
    manifests = rendered(tmp_path, with_snippets(AUTHORITIES))
    assert complaints(manifests) == []
    told = {
        each.name: manifests.environment(container)["SSL_CERT_FILE"]
        for each in manifests.workloads()
        for container in each.spec["containers"]
        if "SSL_CERT_FILE" in manifests.environment(container)
    }
    callers = ("api", "worker", "api-canary", "worker-canary")
    path = "/etc/cxr/authorities/authorities.pem"
    assert told == {f"Deployment/{name}": path for name in callers}


@needs_kubectl
def test_a_login_for_images_and_thresholds_hold_in_that_overlay(tmp_path: Path) -> None:
    manifests = rendered(tmp_path, with_snippets(REGISTRY, THRESHOLDS))
    assert sorted(complaints(manifests)) == [  # by the thresholds, which are another model's
        f"lifecycle: Deployment/{name}-canary: differs from what it stands in for"
        for name in ("api", "worker")
    ]
    accounts = manifests.of("ServiceAccount")
    assert len(accounts) >= 5
    assert all(each["imagePullSecrets"] == [{"name": "registry"}] for each in accounts)
    told = {
        each.name: manifests.environment(container)["THRESHOLDS"]
        for each in manifests.workloads()
        for container in each.spec["containers"]
        if "THRESHOLDS" in manifests.environment(container)
    }
    path = "/etc/cxr/thresholds/thresholds.json"
    assert told == {"Deployment/api": path, "Deployment/worker": path}


@needs_kubectl
def test_policies_of_ones_own_hold_in_that_overlay(tmp_path: Path) -> None:
    manifests = rendered(tmp_path, with_snippets("resources: [policies.yaml]"))
    assert complaints(manifests) == []
    pods = {
        each["metadata"]["name"]: {
            workload.name for workload in manifests.selected(each["spec"]["podSelector"])
        }
        for each in manifests.of("NetworkPolicy")
    }
    apis = {"Deployment/api", "Deployment/api-canary"}
    assert pods["callers"] == apis
    assert pods["receivers"] == apis | {"Deployment/worker", "Deployment/worker-canary"}


@needs_kubectl
def test_the_overlay_to_start_from_holds(tmp_path: Path) -> None:
    manifests = rendered(tmp_path, FIRST)
    assert complaints(manifests) == []
    images = {each["image"] for w in manifests.workloads() for each in w.containers()}
    assert images == {
        "registry.example.org/cxr-service:0.1.0",
        "registry.example.org/cxr-model-server:2.21.0",
        "registry.example.org/cxr-model:1",
        "redis:7.4",
    }


@needs_kubectl
def test_the_dashboard_may_write_where_the_overlay_says_so(tmp_path: Path) -> None:
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```$", OPERATIONS, re.DOTALL | re.MULTILINE)
    write(Combination("cpu", ()), tmp_path)
    with (tmp_path / "kustomization.yaml").open("a") as file:
        file.write(snippet)
    manifests = render(tmp_path)
    assert complaints(manifests) == []
    (dashboard,) = [each for each in manifests.workloads() if each.name == "Deployment/dashboard"]
    environment = manifests.environment(dashboard.spec["containers"][0])
    assert Settings.from_mapping(environment).dashboard_write == "yes"


def test_the_secret_has_every_key_that_the_manifests_name() -> None:
    named = set(
        re.findall(
            r"name: cxr-secrets, key: (\w+)", "".join(p.read_text() for p in K8S.rglob("*.yaml"))
        )
    )
    assert documented_secrets() == {"cxr-secrets": {*named, "api-keys"}}


@needs_kubectl
def test_commands_name_objects_that_exist() -> None:
    manifests = everything()
    known = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in manifests.objects}
    kinds = "deployment|statefulset|cronjob|job|pod|service"
    named = set(re.findall(rf"\b((?:{kinds})/[a-z0-9-]+)", GUIDE + OPERATIONS))
    assert named
    assert named - MADE <= known
    for file in re.findall(r"--filename (\S+)", OPERATIONS):
        assert (ROOT / file).is_file()


def test_every_command_says_in_which_namespace() -> None:
    commands = re.findall(r"^ +(kubectl .*)$", GUIDE + OPERATIONS, re.MULTILINE)
    assert len(commands) > 20
    named = ("kubectl -n cxr ", "kubectl apply --kustomize ", "kubectl create namespace cxr")
    assert [each for each in commands if not each.startswith(named)] == []


def test_an_upgrade_waits_for_the_tasks_that_are_open() -> None:
    assert re.findall(r"redis-cli Z?\w+ (\S+)", OPERATIONS) == [keys.OPEN]


def test_the_canarys_models_config_parses_and_labels_what_it_serves() -> None:
    (text,) = re.findall(r"^ +```\n(.*?)^ +```$", OPERATIONS, re.DOTALL | re.MULTILINE)
    server = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = server.model_config_list.config
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}
    base = text_format.Parse(
        (K8S / "base" / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    assert model.base_path == base.model_config_list.config[0].base_path


def test_sizes_are_those_of_the_capacity_plan() -> None:
    plan = (ROOT / "docs" / "capacity.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\d+), (\d+) \| \S+ \| (\d+), (\d+) \|", plan, re.MULTILINE)
    assert len(rows) == 3
    for images, servers, workers, gpus, fewer in rows:
        (row,) = re.findall(rf"^\| {images} \|(.*)$", OPERATIONS, re.MULTILINE)
        cells = [re.findall(r"\d+", cell) for cell in row.split("|")[:4]]
        assert cells[2] == [servers]
        assert cells[3] == [gpus]
        assert int(cells[1][0]) >= int(workers)
        assert cells[1][1:] in ([], [fewer])


@needs_kubectl
def test_namespaces_that_others_live_in_are_told() -> None:
    policies = everything().of("NetworkPolicy")
    outside = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for policy in policies
        for rule in (*policy["spec"].get("ingress", []), *policy["spec"].get("egress", []))
        for peer in (*rule.get("from", []), *rule.get("to", []))
        if "namespaceSelector" in peer
    }
    readme = (K8S / "components" / "network-policies" / "README.md").read_text()
    assert outside == {"ingress-nginx", "monitoring", "kube-system"}
    assert all(f"`{name}`" in readme for name in outside - {"kube-system"})


def test_readmes_link_to_files_that_exist() -> None:
    for page in (*K8S.rglob("README.md"), ROOT / "docs/kubernetes.md", ROOT / "docs/operations.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


def test_a_component_is_a_component_of_the_namespace() -> None:
    for name in COMPONENTS:
        text = (K8S / "components" / name / "kustomization.yaml").read_text()
        found = yaml.safe_load(text)
        assert (found["kind"], found["namespace"]) == ("Component", "cxr")
