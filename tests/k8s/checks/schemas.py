"""Hold every object against its schema: Kubernetes' own, or the published fields of a custom resource."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate

from tests.k8s.manifests import Manifests

# `kubectl apply` keeps the whole object in an annotation, and annotations end at 256 KiB.
_MOST_BYTES: Final = 250_000
_CUSTOM: Final = Path(__file__).parents[1] / "schemas"


def check(manifests: Manifests) -> Iterator[str]:
    """Complain of objects that the newest Kubernetes or the operator would refuse or cut."""
    for each in manifests.objects:
        complaint = _complaint(json.dumps(each))
        if complaint:
            yield f"{each['kind']}/{each['metadata']['name']}: {complaint}"


@cache  # most objects are the same in many combinations
def _complaint(text: str) -> str:
    if len(text) > _MOST_BYTES:
        return f"{len(text)} bytes are more than can be applied"
    each = json.loads(text)
    try:
        if (_CUSTOM / f"{each['kind']}.json").exists():
            jsonschema.Draft202012Validator(_schema(each["kind"])).validate(each)
        else:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    except jsonschema.ValidationError as err:
        return f"{'.'.join(map(str, err.absolute_path))}: {err.message}"
    except kubernetes_validate.SchemaNotFoundError:
        return "no schema of this kind; add its published fields"
    return ""


@cache
def _schema(kind: str) -> Any:
    return json.loads((_CUSTOM / f"{kind}.json").read_text())
