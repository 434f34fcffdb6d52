"""List the checks: each takes manifests and gives complaints."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.k8s.checks import (
    images,
    lifecycle,
    models,
    network,
    probes,
    references,
    schemas,
    security,
    selectors,
    settings,
)
from tests.k8s.manifests import Manifests

CHECKS: Final[Mapping[str, Callable[[Manifests], Iterator[str]]]] = {
    "images": images.check,
    "lifecycle": lifecycle.check,
    "models": models.check,
    "network": network.check,
    "probes": probes.check,
    "references": references.check,
    "schemas": schemas.check,
    "security": security.check,
    "selectors": selectors.check,
    "settings": settings.check,
}


def complaints(manifests: Manifests) -> list[str]:
    """Return what every check has to say."""
    return [
        f"{name}: {complaint}" for name, check in CHECKS.items() for complaint in check(manifests)
    ]
