"""Make reports with given probabilities."""

import uuid

from orchestrator.stats.statistics import Statistics
from orchestrator.stats.tally import of_report
from orchestrator.study import Prediction, Report


def record(statistics: Statistics, found: Report) -> None:
    """Count one analysis, as a bundle of its own."""
    assert statistics.count(str(uuid.uuid4()), 1, statistics.today, of_report(found))


def report(probabilities: dict[str, float], version: int = 1) -> Report:
    """Return a report of an analysis of its own; a label is positive from 0.5 on."""
    predictions = tuple(
        Prediction(label, probability, 0.5, probability >= 0.5)
        for label, probability in probabilities.items()
    )
    return Report(
        analysis_id=str(uuid.uuid4()),
        model_name="densenet",
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
