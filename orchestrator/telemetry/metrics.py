"""Keep samples as Prometheus metrics of this process."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from orchestrator.telemetry.definitions import DEFINITIONS, Definition
from orchestrator.telemetry.recorder import Sample

_BUILD: Final = ("cxr_build_info", "Version of the service and of Python; always 1.")


class Metrics:
    """Register every metric of :data:`DEFINITIONS`, the build and the process, and keep samples.

    Args:
        registry: What an answer to Prometheus is made of.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        build = Gauge(*_BUILD, ["version", "python"], registry=registry)
        build.labels(version("cxr-service"), platform.python_version()).set(1)
        self._metrics = {each.name: _create(each, registry) for each in DEFINITIONS}
        self._told: dict[str, tuple[str, ...]] = {}

    def record(self, samples: Sequence[Sample]) -> None:
        """Keep samples."""
        for metric, value, labels in samples:
            if metric.kind == "info":
                self._tell(metric, labels)
                continue
            found = self._metrics[metric.name]
            child = found.labels(*labels) if labels else found
            if isinstance(child, Histogram):
                child.observe(value)
            else:
                child.inc(value)

    def _tell(self, metric: Definition, labels: tuple[str, ...]) -> None:
        """Say what holds now and drop what held before."""
        known = self._told.get(metric.name)
        if known == labels:
            return
        gauge = self._metrics[metric.name]
        assert isinstance(gauge, Gauge)  # noqa: S101 - _create makes one
        gauge.labels(*labels).set(1)
        if known is not None:
            gauge.remove(*known)
        self._told[metric.name] = labels


def _create(metric: Definition, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "counter":
        return Counter(metric.name, metric.text, metric.labels, registry=registry)
    if metric.kind == "histogram":
        return Histogram(
            metric.name, metric.text, metric.labels, buckets=metric.buckets, registry=registry
        )
    return Gauge(metric.name, metric.text, metric.labels, registry=registry)
