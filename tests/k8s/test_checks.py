"""Every check finds what it is there for: sound manifests are broken in one place each (broken.yaml)."""

import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.build import COMPONENTS, Combination, build, can_build
from tests.k8s.every_check import CHECKS
from tests.k8s.manifests import Manifests, Object, workload

pytestmark = pytest.mark.skipif(not can_build(), reason="there is no kubectl with kustomize 5")

BROKEN: dict[str, list[Object]] = yaml.safe_load(
    Path(__file__).with_name("broken.yaml").read_text()
)
CASES = [(check, case) for check, cases in BROKEN.items() for case in cases]


@cache
def sound() -> Manifests:
    return build(Combination("cpu", COMPONENTS))


def broken(case: Object) -> Manifests:
    """Return manifests with one thing wrong."""
    manifests = Manifests(deepcopy(sound().objects))
    if "object" in case:
        manifests.objects.append(case["object"])
        return manifests
    each = find(manifests, case["in"])
    if case.get("delete"):
        manifests.objects.remove(each)
    for pointer, value in case.get("set", {}).items():
        holder, key = resolve(each, pointer)
        holder[key] = value
    for pointer, value in case.get("append", {}).items():
        holder, key = resolve(each, pointer)
        holder[key].append(value)
    for pointer, (old, new) in case.get("replace", {}).items():
        holder, key = resolve(each, pointer)
        assert old in holder[key]
        holder[key] = holder[key].replace(old, new)
    if "drop" in case:
        holder, key = resolve(each, case["drop"])
        del holder[key]
    return manifests


def find(manifests: Manifests, wanted: str) -> Object:
    """Return an object by kind and name; a name that ends in a dash is followed by a hash."""
    kind, _, name = wanted.partition("/")
    pattern = name + "[a-z0-9]{10}" if name.endswith("-") else name
    (found,) = [
        each for each in manifests.of(kind) if re.fullmatch(pattern, each["metadata"]["name"])
    ]
    return found


def resolve(each: Object, pointer: str) -> tuple[Any, Any]:
    """Return what holds the thing that a pointer names, and its key or index there."""
    first, _, rest = pointer.partition("/")
    at: Any = each
    if first in ("pod", "container"):
        made = workload(each)
        assert made is not None
        at = made.spec if first == "pod" else made.spec["containers"][0]
        pointer = rest
    *way, last = [part.replace("~1", "/") for part in pointer.split("/")]
    for part in way:
        at = at[int(part)] if isinstance(at, list) else at[part]
    return at, int(last) if isinstance(at, list) else last


@pytest.mark.parametrize("check", sorted(CHECKS))
def test_sound_manifests_are_let_pass(check: str) -> None:
    assert list(CHECKS[check](sound())) == []


@pytest.mark.parametrize(
    ("check", "case"), CASES, ids=[f"{check}-{case['says']}" for check, case in CASES]
)
def test_a_broken_manifest_is_found(check: str, case: Object) -> None:
    said = list(CHECKS[check](broken(case)))
    assert any(case["says"] in complaint for complaint in said), said


def test_an_object_that_is_too_large_to_apply_is_found() -> None:
    manifests = Manifests(deepcopy(sound().objects))
    find(manifests, "ConfigMap/cxr-settings-")["data"]["LOG_LEVEL"] = "x" * 250_000
    assert any("more than can be applied" in each for each in CHECKS["schemas"](manifests))


def test_every_check_is_seen_to_fail() -> None:
    assert set(BROKEN) == set(CHECKS)
