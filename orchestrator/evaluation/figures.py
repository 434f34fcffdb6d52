"""Put the figures of an evaluation together: one row per label, and a summary."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from orchestrator.evaluation.gathering import Answers, known_labels, truth_table
from orchestrator.evaluation.localisation import Pointing, mean_pointing, point
from orchestrator.evaluation.metrics import auroc, calibration_error, mean_defined, rates
from orchestrator.evaluation.truth import Boxes, Labels

# Findings whose place says little: these two spread over both lungs, a nodule is smaller than a cell of a 7x7 map.
NOT_FOCAL: Final = ("Edema", "Emphysema", "Nodule")


@dataclass(frozen=True)
class Row:
    """Hold the figures of one label; NaN where one is undefined.

    Attributes:
        label: Its name.
        positives: Images that show it.
        negatives: Images that don't.
        auroc: Area under the ROC curve; 0.5 by chance.
        calibration_error: Expected calibration error.
        threshold: Operating point served.
        sensitivity: Share of the positives that reach it.
        specificity: Share of the negatives that don't.
        boxes: Images with a true box of it.
        pointing: How its maps agree with the boxes; None without boxes.
    """

    label: str
    positives: int
    negatives: int
    auroc: float
    calibration_error: float
    threshold: float
    sensitivity: float
    specificity: float
    boxes: int
    pointing: Pointing | None


@dataclass(frozen=True)
class Figures:
    """Hold an evaluation.

    Attributes:
        model: Name, version and card digest of the model that answered.
        images: How many images it answered.
        rows: One per label that both the model and the labels file know.
        summary: Averages over the rows.
        not_in_labels: Labels of the model that the labels file never names: nothing can be said of them.
        not_in_model: Labels of the labels file or of the boxes that the model doesn't know.
        failures: Reason by image that got no answer.
    """

    model: Mapping[str, Any]
    images: int
    rows: tuple[Row, ...]
    summary: Mapping[str, float]
    not_in_labels: tuple[str, ...]
    not_in_model: tuple[str, ...]
    failures: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is undefined is null."""
        values = {
            "model": dict(self.model),
            "images": self.images,
            "summary": dict(self.summary),
            "labels": {
                row.label: {k: v for k, v in asdict(row).items() if k != "label"}
                for row in self.rows
            },
            "not_in_labels": list(self.not_in_labels),
            "not_in_model": list(self.not_in_model),
            "failures": dict(self.failures),
        }
        cleaned: dict[str, Any] = _without_nan(values)
        return cleaned


def figures(answers: Answers, labels: Labels, boxes: Boxes) -> Figures:
    """Measure the answers against what is known of the images.

    Args:
        answers: Of one model.
        labels: Which labels each image shows, of those answered at least.
        boxes: Where, for the images whose maps were gathered; may be empty.

    Raises:
        EvaluationError: The model knows none of the labels.
    """
    named = frozenset().union(*labels.values())
    boxed = frozenset().union(*boxes.values())
    known = known_labels(answers, labels)
    truth = truth_table(labels, answers.images, known)
    rows = []
    for column, label in enumerate(known):
        index = answers.labels.index(label)
        present, given = truth[:, column], answers.probabilities[:, index]
        sensitivity, specificity = rates(present, given, answers.thresholds[index])
        cases = _cases(answers, boxes, label, index)
        rows.append(
            Row(
                label=label,
                positives=int(present.sum()),
                negatives=int((~present).sum()),
                auroc=auroc(present, given),
                calibration_error=calibration_error(present, given),
                threshold=answers.thresholds[index],
                sensitivity=sensitivity,
                specificity=specificity,
                boxes=len(cases),
                pointing=mean_pointing(cases) if cases else None,
            )
        )
    return Figures(
        model=answers.model,
        images=len(answers.images),
        rows=tuple(rows),
        summary=summarise(rows),
        not_in_labels=tuple(label for label in answers.labels if label not in named),
        not_in_model=tuple(sorted((named | boxed) - set(answers.labels))),
        failures=answers.failures,
    )


def summarise(rows: Sequence[Row]) -> dict[str, float]:
    """Average over the labels, each counting once; chance rates are averaged alike."""
    aurocs = np.array([row.auroc for row in rows])
    found = {
        "macro_auroc": mean_defined(aurocs),
        "lowest_auroc": math.nan if np.isnan(aurocs).all() else float(np.nanmin(aurocs)),
        "mean_calibration_error": mean_defined(np.array([row.calibration_error for row in rows])),
    }
    pointed = [(row.label, row.pointing) for row in rows if row.pointing is not None]
    if pointed:
        found |= {
            f"mean_{name}": value
            for name, value in asdict(mean_pointing([one for _, one in pointed])).items()
        }
        found["lowest_overlap"] = min(one.overlap for _, one in pointed)
    focal = [one for label, one in pointed if label not in NOT_FOCAL]
    if focal:
        mean = mean_pointing(focal)
        names = ("center", "center_chance", "within", "within_chance")
        found |= {f"focal_{name}": getattr(mean, name) for name in names}
    return found


def _cases(answers: Answers, boxes: Boxes, label: str, index: int) -> list[Pointing]:
    """Compare the maps of one label with its boxes, image by image."""
    return [
        point(maps.values[index], boxes[image][label], maps.placement, maps.image_size)
        for image, maps in answers.maps.items()
        if label in boxes.get(image, {})
    ]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return value
