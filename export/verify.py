"""Prove that a SavedModel on disk answers as the live model does, and say by how much it differs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.errors import VerificationError
from export.loaders import LOADERS, Call
from export.probes import flat_images, probe_images
from export.reference import Answer, Pixels, ReferenceAnswer
from serving.contract import (
    INPUT_IMAGE,
    INPUT_REQUEST,
    OUTPUT_ACTIVATION_MAPS,
    OUTPUT_CARD,
    OUTPUT_LOGITS,
    OUTPUT_PROBABILITIES,
    SIGNATURE_DESCRIBE,
    SIGNATURE_GRADCAM,
    SIGNATURE_PREDICT,
    ModelCard,
)

BATCH_SIZES: Final = (1, 2, 5)
FLOAT32_BOUNDS: Final = {
    "probability": 1e-4,
    "map": 1e-4,
    "batch": 1e-4,
    "logit_from_map": 1e-4,
    "map_correlation": 0.9999,
}
# Roundings of 8 bits add up along a network: what counts is that the findings and the pictures stay.
BFLOAT16_BOUNDS: Final = {
    "probability": 0.02,
    "map": math.inf,
    "batch": 0.02,
    "logit_from_map": 1e-4,
    "map_correlation": 0.99,
}
BOUNDS: Final = {"float32": FLOAT32_BOUNDS, "bfloat16": BFLOAT16_BOUNDS}
_MEANINGS: Final = {
    "probability": "probabilities within {bound:g} of the Keras model's",
    "map": "activation maps within {bound:g}, relative to the image's largest value, of a gradient tape's",
    "batch": "the same probabilities, within {bound:g}, for an image alone and in a batch",
    "logit_from_map": "logits within {bound:g}, relative, of the mean of their map plus the bias",
    "map_correlation": "activation maps that correlate with a gradient tape's by {bound:g} or more",
}
_WEAK: Final = (
    0.05  # of the largest variation among an image's maps: below it a correlation is about noise
)
# Of the terms that a map sums up: where these cancel, maps were seen to differ by up to 6e-7 of them, and a variation
# of less than 1e-4 does not stand out from that well enough to correlate by 0.9999.
_ROUNDING: Final = 1e-4
_CANCELLED: Final = 0.1  # of those terms: a map whose values stay below has lost digits
Floats = np.ndarray[Any, np.dtype[np.float32]]
Ask = Callable[[Pixels], ReferenceAnswer]


@dataclass
class Figures:
    """Gather the worst of each figure over all images."""

    worst: dict[str, float] = field(default_factory=lambda: {"map_correlation": 1.0})
    changed_sides: int = 0

    def differ(self, **seen: float) -> None:
        """Keep the larger of each difference; NaN counts as the largest."""
        for name, value in seen.items():
            self.worst[name] = max(
                self.worst.get(name, 0.0), math.inf if math.isnan(value) else value
            )

    def correlate(self, value: float) -> None:
        """Keep the lower correlation."""
        self.worst["map_correlation"] = min(self.worst["map_correlation"], value)


def verify(
    directory: Path,
    card: ModelCard,
    reference: Ask,
    *,
    bias: Floats | None = None,
    bounds: Mapping[str, float] = FLOAT32_BOUNDS,
    radiographs: Pixels | None = None,
) -> dict[str, Any]:
    """Load a SavedModel both ways and compare it with the live model.

    Args:
        directory: Where the SavedModel is.
        card: Its card.
        reference: The live model's answer to uint8 ``[N, H, W, 1]``.
        bias: ``[L]``, where the mean of an activation map plus this must be the logit.
        bounds: Largest differences and lowest correlation that pass.
        radiographs: Images of the kind that the model is for, compared as well, uint8 ``[N, H, W, 1]``.

    Returns:
        The worst figures seen, rounded to the worse side, and how many labels of how many images changed sides of
        their threshold.

    Raises:
        VerificationError: A bound was missed; the message names it with the figure.
    """
    batches = _batches(card, radiographs)
    expected = [reference(images) for images in batches]
    figures = {name: _measure(name, directory, card, batches, expected, bias) for name in LOADERS}
    worst = Figures()
    for seen in figures.values():
        differences = dict(seen.worst)
        worst.correlate(differences.pop("map_correlation"))
        worst.differ(**differences)
        worst.changed_sides = max(worst.changed_sides, seen.changed_sides)
    _require(worst.worst, bounds)
    images = sum(map(len, batches))
    return {
        "images": images,
        "radiographs": 0 if radiographs is None else len(radiographs),
        "batch_sizes": sorted({len(batch) for batch in batches}),
        "loaders": sorted(LOADERS),
        "differences_at_most": {
            name: round_up(value)
            for name, value in sorted(worst.worst.items())
            if name != "map_correlation"
        },
        "map_correlation_at_least": math.floor(worst.worst["map_correlation"] * 1000) / 1000,
        "findings_that_changed_sides": worst.changed_sides,
        "findings_compared": images * len(card.labels),
    }


def in_words(figures: Mapping[str, Any]) -> str:
    """Tell the figures of a verification in one sentence."""
    differences = figures["differences_at_most"]
    return (
        f"Verified on {figures['images']} images: probabilities within {differences['probability']:g}, maps within "
        f"{differences['map']:g} of their largest value and correlated by {figures['map_correlation_at_least']:g} or "
        f"more, {figures['findings_that_changed_sides']} of {figures['findings_compared']} findings changed sides"
    )


def round_up(value: float) -> float:
    """Round a difference up to one digit.

    Below 1e-5 the order in which threads happened to add decides, and two exports of one model must have one card.
    """
    if value <= 1e-5:
        return 1e-5
    exponent = math.floor(math.log10(value))
    return float(f"{math.ceil(value / 10**exponent - 1e-9)}e{exponent}")


def _batches(card: ModelCard, radiographs: Pixels | None) -> list[Pixels]:
    size = card.input_height, card.input_width
    batches = [probe_images(count, *size, seed=count) for count in BATCH_SIZES]
    batches.append(flat_images(*size))
    if radiographs is not None:
        batches += [radiographs[start : start + 8] for start in range(0, len(radiographs), 8)]
    return batches


def _measure(
    loader: str,
    directory: Path,
    card: ModelCard,
    batches: Sequence[Pixels],
    expected: Sequence[ReferenceAnswer],
    bias: Floats | None,
) -> Figures:
    """Take all figures through one loader."""
    figures = Figures()
    thresholds = np.array(card.thresholds)
    with LOADERS[loader](directory) as call:
        _check_card(loader, call, card)
        for images, answer in zip(batches, expected, strict=True):
            actual = _answer(loader, call, images)
            figures.differ(**_compare(call, images, actual, answer))
            figures.correlate(map_correlation(actual.maps, answer.maps, answer.terms))
            if bias is not None:
                figures.differ(logit_from_map=logit_difference(actual, bias))
            sides = (actual.probabilities >= thresholds) != (answer.probabilities >= thresholds)
            figures.changed_sides += int(sides.sum())
        figures.differ(batch=_batch_difference(call, batches[len(BATCH_SIZES) - 1]))
    return figures


def answer_of(call: Call, images: Pixels) -> Answer:
    """Ask a loaded SavedModel's signature ``gradcam``."""
    outputs = call(SIGNATURE_GRADCAM, {INPUT_IMAGE: images})
    return Answer(
        logits=outputs[OUTPUT_LOGITS],
        probabilities=outputs[OUTPUT_PROBABILITIES],
        maps=outputs[OUTPUT_ACTIVATION_MAPS],
    )


def map_difference(
    actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], terms: np.ndarray[Any, Any]
) -> float:
    """Return the largest difference of maps ``[N, L, h, w]`` relative to each image's largest value.

    Where the terms cancel, it is relative to a tenth of them: no two sums of theirs agree any better.

    Args:
        actual: The servable's.
        expected: The live model's.
        terms: ``[N]``, as in :class:`export.reference.ReferenceAnswer`.
    """
    axes = tuple(range(1, expected.ndim))
    scale = np.maximum(np.abs(expected).max(axis=axes), np.maximum(_CANCELLED * terms, 1e-6))
    return float((np.abs(actual - expected).max(axis=axes) / scale).max())


def map_correlation(
    actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], terms: np.ndarray[Any, Any]
) -> float:
    """Return the lowest correlation of two maps of one image and label, among those that vary; 1 if none does.

    A map varies where it does so beyond the roundings of float32, which are relative to the terms that it sums up.

    Args:
        actual: The servable's, ``[N, L, h, w]``.
        expected: The live model's.
        terms: ``[N]``, as in :class:`export.reference.ReferenceAnswer`.
    """
    deviations = [
        maps.reshape(*maps.shape[:2], -1) - maps.mean(axis=(2, 3))[..., None]
        for maps in (actual.astype(np.float64), expected.astype(np.float64))
    ]
    variation = np.linalg.norm(deviations[1], axis=-1)
    rounding = _ROUNDING * terms[:, None]
    strong = variation > np.maximum(_WEAK * variation.max(axis=1, keepdims=True), rounding)
    both = np.linalg.norm(deviations[0], axis=-1) * variation
    products = (deviations[0] * deviations[1]).sum(axis=-1)
    return float(
        np.min(products[strong] / np.maximum(both[strong], np.finfo(np.float64).tiny), initial=1.0)
    )


def logit_difference(answer: Answer, bias: Floats) -> float:
    """Return how far the mean of a map plus the bias is from the logit, relative to the image's largest map value."""
    restored = answer.maps.mean(axis=(2, 3)) + bias
    scale = np.maximum(np.abs(answer.maps).max(axis=(1, 2, 3)), 1.0)
    return float((np.abs(restored - answer.logits).max(axis=1) / scale).max())


def _answer(loader: str, call: Call, images: Pixels) -> Answer:
    answer = answer_of(call, images)
    for values in (answer.logits, answer.probabilities, answer.maps):
        if not np.isfinite(values).all():
            raise VerificationError(
                "expected finite answers to random, black, gray and white images, got NaN or infinity through the "
                f"{loader} loader; look for a division by a variance or norm in the model"
            )
    return answer


def _compare(
    call: Call, images: Pixels, actual: Answer, expected: ReferenceAnswer
) -> dict[str, float]:
    plain = call(SIGNATURE_PREDICT, {INPUT_IMAGE: images})[OUTPUT_PROBABILITIES]
    both = np.stack([actual.probabilities, plain])
    return {
        "probability": float(np.abs(both - expected.probabilities).max()),
        "map": map_difference(actual.maps, expected.maps, expected.terms),
    }


def _batch_difference(call: Call, images: Pixels) -> float:
    """Compare the answer to a batch with the answers to its images alone."""
    together = answer_of(call, images).probabilities
    alone = [
        answer_of(call, images[index : index + 1]).probabilities for index in range(len(images))
    ]
    return float(np.abs(together - np.concatenate(alone)).max())


def _check_card(loader: str, call: Call, card: ModelCard) -> None:
    answer = call(SIGNATURE_DESCRIBE, {INPUT_REQUEST: np.zeros(2, np.int32)})[OUTPUT_CARD]
    if answer.tolist() != [card.to_json().encode()] * 2:
        raise VerificationError(f"expected the model card from describe, got {answer!r} ({loader})")


def _require(worst: Mapping[str, float], bounds: Mapping[str, float]) -> None:
    for name, value in worst.items():
        bound = bounds[name]
        passed = value >= bound if name == "map_correlation" else value <= bound
        if not passed:
            raise VerificationError(
                f"expected {_MEANINGS[name].format(bound=bound)}, got {value:.3g}; nothing was published"
            )
