"""Say what is measured, whoever keeps it: this process's own metrics, or another process's."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from orchestrator.telemetry.definitions import Definition


class Sample(NamedTuple):
    """One thing measured.

    Attributes:
        metric: What of.
        value: Seconds, a probability, or a count to add.
        labels: A value for each of the metric's labels, in their order.
    """

    metric: Definition
    value: float
    labels: tuple[str, ...] = ()


class Recorder(Protocol):
    """Keep samples."""

    def record(self, samples: Sequence[Sample]) -> None:
        """Keep samples; never fails."""
        ...


class Silent:
    """Keep nothing."""

    def record(self, samples: Sequence[Sample]) -> None:
        """Do nothing."""


SILENT: Final = Silent()
