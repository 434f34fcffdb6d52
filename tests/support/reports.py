"""Make reports with given probabilities."""

import uuid

from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import of_report
from orchestrator.study import Prediction, Report


def record(statistics: Statistics, found: Report) -> None:
    """Count one analysis, as a bundle of its own."""
    assert statistics.count(str(uuid.uuid4()), 1, statistics.today, of_report(found))


def report(
    probabilities: dict[str, float],
    *,
    analysis_id: str = "",
    model: str = "densenet",
    version: int = 1,
    threshold: float = 0.5,
) -> Report:
    """Return a report of an analysis of its own; a label is positive from the threshold on."""
    predictions = tuple(
        Prediction(label, probability, threshold, probability >= threshold)
        for label, probability in probabilities.items()
    )
    return Report(
        analysis_id=analysis_id or str(uuid.uuid4()),
        model_name=model,
        model_version=version,
        card_digest="0" * 64,
        predictions=predictions,
        width=300,
        height=200,
        sha256="1" * 64,
        heatmap_scale=1.0,
        timings_ms={},
        warnings=(),
        findings=tuple(each.label for each in predictions if each.positive),
    )
