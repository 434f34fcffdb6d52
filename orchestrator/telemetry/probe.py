"""Say whether something that the service depends on answers, asked when Prometheus asks."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from orchestrator.errors import ServiceError


class UpCollector(Collector):
    """Give 1 while a check passes, 0 while it does not.

    Args:
        name: Name of the metric.
        text: What it tells.
        check: Raises a ServiceError where the thing is away.
        registry: What an answer to Prometheus is made of.
    """

    def __init__(
        self, name: str, text: str, check: Callable[[], object], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._text = text
        self._check = check
        registry.register(self)

    def describe(self) -> list[GaugeMetricFamily]:
        """Name the figure without asking."""
        return [GaugeMetricFamily(self._name, self._text)]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask, and give what is seen."""
        try:
            self._check()
        except ServiceError:
            yield GaugeMetricFamily(self._name, self._text, value=0)
        else:
            yield GaugeMetricFamily(self._name, self._text, value=1)
