"""Do what the rivals do alike, with this project's own functions: decode, resize, draw and pack.

Imported in the rivals' environments: it needs NumPy and Pillow, no model client and no web framework.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradcam.placement import place
from orchestrator import rendering
from orchestrator.images.radiograph import Radiograph, decode, model_input
from orchestrator.package import as_zip
from orchestrator.study import Analysis, Options, Prediction, Report
from serving.contract import ModelCard

MAX_PIXELS: Final = 50_000_000
MAX_BYTES: Final = 100_000_000
MAX_BATCH: Final = 8  # as in serving/batching.config


def prepare(upload: bytes, card: ModelCard) -> tuple[Radiograph, NDArray[np.uint8]]:
    """Decode an upload; return it, and the network's input ``[H, W, 1]``."""
    radiograph = decode(upload, max_pixels=MAX_PIXELS)
    return radiograph, model_input(radiograph, card)[..., None]


def answer(
    radiograph: Radiograph,
    card: ModelCard,
    probabilities: Sequence[float],
    maps: Any,
    heatmaps: str,
) -> bytes:
    """Draw the overlays that were asked for, and pack them with the report."""
    predictions = [
        Prediction(label, float(probability), threshold, float(probability) >= threshold)
        for label, probability, threshold in zip(
            card.labels, probabilities, card.thresholds, strict=True
        )
    ]
    placement = place(card.resize, radiograph.size, (card.input_width, card.input_height))
    view = rendering.View(radiograph.image, placement, predictions, maps, card.warnings)
    report = Report(
        analysis_id=str(uuid.uuid4()),
        model_name=card.name,
        model_version=1,
        card_digest=card.digest,
        predictions=tuple(predictions),
        findings=rendering.findings(predictions),
        width=radiograph.size[0],
        height=radiograph.size[1],
        sha256=radiograph.sha256,
        heatmap_scale=round(view.scale, 4),
        timings_ms={},
        warnings=card.warnings,
    )
    return as_zip(Analysis(report, rendering.draw(view, options(heatmaps), max_bytes=MAX_BYTES)))


def options(heatmaps: str) -> Options:
    """Read the form's field ``heatmaps``: ``none``, ``all``, or labels with commas between them."""
    if heatmaps in ("none", "all"):
        return Options(heatmaps="none" if heatmaps == "none" else "all")
    return Options(heatmaps=tuple(heatmaps.split(",")))
