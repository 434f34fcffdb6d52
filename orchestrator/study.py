"""Hold what crosses module borders: options, predictions, overlays, reports."""

import base64
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcam.encode import Format
from gradcam.placement import Placement
from orchestrator.answers import (
    ActivationMapsAnswer,
    Picture,
    ReportAnswer,
    ShownRadiographAnswer,
)
from serving.contract import HeatmapsKeyword

NOTICE: Final = "Not for clinical use. This is not a medical device; its output is no diagnosis."


@dataclass(frozen=True, kw_only=True)
class Options:
    """Say what an analysis should draw.

    Attributes:
        font_size: Height of annotations, in pixels of the finished picture.
        heatmaps: ``positive``, ``all``, ``none``, or the labels to draw.
        format: File format of the overlays.
        max_size: Longest side of a picture, caption and legend included, in pixels; None keeps every pixel of the
            radiograph.
        maps: Whether the report holds the activation maps of every label.
        radiograph: Whether the report holds the radiograph as it was analysed.
    """

    font_size: int = 40
    heatmaps: HeatmapsKeyword | tuple[str, ...] = "positive"
    format: Format = "jpeg"
    max_size: int | None = 1024
    maps: bool = False
    radiograph: bool = False


@dataclass(frozen=True)
class Prediction:
    """One label of one view: its probability, its operating point, and whether it reached it."""

    label: str
    probability: float
    threshold: float
    positive: bool


@dataclass(frozen=True)
class Derived:
    """A label that follows from a rule; it has no probability."""

    label: str
    rule: str
    positive: bool


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """One annotated picture, encoded.

    Attributes:
        label: The label whose evidence it shows.
        probability: Probability of that label.
        content: The encoded file.
        media_type: Its media type.
        extension: Its file extension, with the dot.
        size: Width and height of the picture, in pixels.
        radiograph: x, y, width and height of the radiograph inside the picture, in pixels.
    """

    label: str
    probability: float
    content: bytes = field(repr=False)
    media_type: str
    extension: str
    size: tuple[int, int]
    radiograph: tuple[int, int, int, int]

    def as_json(self) -> Picture:
        """Return what describes the picture, as plain JSON values; its file is kept elsewhere."""
        x, y, width, height = self.radiograph
        return {
            "label": self.label,
            "probability": self.probability,
            "width": self.size[0],
            "height": self.size[1],
            "radiograph": {"x": x, "y": y, "width": width, "height": height},
        }


@dataclass(frozen=True)
class ActivationMaps:
    """Grad-CAM of every label before its ReLU.

    Attributes:
        labels: The labels, in the model's order.
        values: float32 ``[L, h, w]``, in logits.
        placement: The part of the upright radiograph that the maps cover.
    """

    labels: tuple[str, ...]
    values: NDArray[np.float32] = field(repr=False)
    placement: Placement

    def as_json(self) -> ActivationMapsAnswer:
        """Return the maps as plain JSON values; the data are base64 of little-endian C order."""
        place = self.placement
        return {
            "labels": list(self.labels),
            "shape": list(self.values.shape),
            "dtype": "float32",
            "unit": "logit",
            "placement": {
                "x": place.x,
                "y": place.y,
                "width": place.width,
                "height": place.height,
            },
            "data": base64.b64encode(self.values.astype("<f4").tobytes()).decode(),
        }


@dataclass(frozen=True)
class ShownRadiograph:
    """The radiograph as it was analysed, upright and gray, at the size of the pictures and encoded as they are.

    Attributes:
        content: The encoded file.
        media_type: Its media type.
        size: Width and height, in pixels.
    """

    content: bytes = field(repr=False)
    media_type: str
    size: tuple[int, int]

    def as_json(self) -> ShownRadiographAnswer:
        """Return the radiograph as plain JSON values; the data are the file as base64."""
        return {
            "media_type": self.media_type,
            "width": self.size[0],
            "height": self.size[1],
            "data": base64.b64encode(self.content).decode(),
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """Say what the model answered about one view, in the words of the HTTP contract.

    Attributes:
        analysis_id: Random identifier of this analysis.
        model_name: Name of the model.
        model_version: Version directory that answered.
        card_digest: SHA-256 of the model card.
        calibration: How the thresholds were calibrated; empty where they are the card's own.
        predictions: One per label, in the model's order.
        width: Columns of the upright radiograph, in pixels.
        height: Rows of the upright radiograph, in pixels.
        sha256: Digest of the uploaded bytes, hexadecimal.
        heatmap_scale: Logits at which a heatmap reaches 1; the same for all labels of the view.
        timings_ms: Milliseconds per stage.
        warnings: Sentences of the model card that every report repeats.
        findings: Labels that reached their threshold, without "No Finding".
        derived: Labels that follow from a rule rather than from the network.
        maps: The activation maps, if they were asked for.
        radiograph: The radiograph itself, if it was asked for.
    """

    analysis_id: str
    model_name: str
    model_version: int
    card_digest: str
    calibration: str = ""
    predictions: tuple[Prediction, ...]
    width: int
    height: int
    sha256: str
    heatmap_scale: float
    timings_ms: dict[str, float]
    warnings: tuple[str, ...]
    findings: tuple[str, ...]
    derived: tuple[Derived, ...] = ()
    maps: ActivationMaps | None = None
    radiograph: ShownRadiograph | None = None

    def as_json(self) -> ReportAnswer:
        """Return the report as plain JSON values."""
        report: ReportAnswer = {
            "analysis_id": self.analysis_id,
            "model": {
                "name": self.model_name,
                "version": self.model_version,
                "card_digest": self.card_digest,
                "thresholds": self.calibration or "card",
            },
            "predictions": [
                {
                    "label": prediction.label,
                    "probability": prediction.probability,
                    "threshold": prediction.threshold,
                    "positive": prediction.positive,
                }
                for prediction in self.predictions
            ],
            "findings": list(self.findings),
            "derived": [
                {"label": each.label, "rule": each.rule, "positive": each.positive}
                for each in self.derived
            ],
            "image": {"width": self.width, "height": self.height, "sha256": self.sha256},
            "heatmap_scale_logits": self.heatmap_scale,
            "timings_ms": self.timings_ms,
            "warnings": list(self.warnings),
            "notice": NOTICE,
        }
        if self.maps is not None:
            report["activation_maps"] = self.maps.as_json()
        if self.radiograph is not None:
            report["radiograph"] = self.radiograph.as_json()
        return report


@dataclass(frozen=True)
class Analysis:
    """A report and the overlays that were asked for."""

    report: Report
    overlays: tuple[Overlay, ...]
