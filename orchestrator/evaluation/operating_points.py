"""Choose the threshold of a label: by Youden's index, or to reach a sensitivity or a specificity."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from orchestrator.evaluation.metrics import Floats, Truth

Aim = Literal["youden", "sensitivity", "specificity"]


@dataclass(frozen=True)
class Method:
    """Say what a threshold is chosen for; ``target`` is the rate to reach, None for Youden's index."""

    aim: Aim
    target: float | None = None

    def __str__(self) -> str:
        return self.aim if self.target is None else f"{self.aim}={self.target:g}"


def parse_method(text: str) -> Method:
    """Read ``youden``, ``sensitivity=0.9`` or ``specificity=0.9``.

    Raises:
        ValueError: It is none of them.
    """
    if text == "youden":
        return Method("youden")
    name, _, number = text.partition("=")
    try:
        target = float(number)
    except ValueError:
        target = float("nan")
    for aim in get_args(Aim)[1:]:
        if name == aim and 0 < target < 1:
            return Method(aim, target)
    raise ValueError(
        f"expected youden, or sensitivity= or specificity= and a number between 0 and 1, got {text!r}"
    )


def choose_threshold(truth: Truth, probabilities: Floats, method: Method) -> float | None:
    """Choose the operating point of one label; a probability that reaches it counts as positive.

    It lies in the middle of the gap between two probabilities that occur. For a sensitivity it is the highest that
    reaches it, for a specificity the lowest; Youden's index is sensitivity + specificity - 1 (Youden,
    Cancer 1950), and of equals the lowest threshold is taken, which misses less.

    Args:
        truth: ``[N]``, whether the label is present.
        probabilities: ``[N]`` in [0, 1].
        method: What to reach.

    Returns:
        In [0, 1], or None where positives or negatives are missing, no threshold reaches the rate, or, by Youden's
        index, none does better than to call every image positive.
    """
    if not truth.any() or truth.all():
        return None
    thresholds, sensitivity, specificity = _curve(truth, probabilities)
    if method.aim == "youden":
        index = np.round(sensitivity + specificity - 1, 12)
        return float(thresholds[np.argmax(index)]) if index.max() > 0 else None
    rate = sensitivity if method.aim == "sensitivity" else specificity
    enough = np.flatnonzero(rate >= float(method.target or 0.0) - 1e-12)
    if not enough.size:
        return None
    return float(thresholds[enough[-1] if method.aim == "sensitivity" else enough[0]])


def _curve(truth: Truth, probabilities: Floats) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """List thresholds, lowest first, each with its sensitivity and specificity."""
    values, place = np.unique(probabilities.astype(np.float64), return_inverse=True)
    present = np.bincount(place, weights=truth, minlength=len(values))
    absent = np.bincount(place, weights=~truth, minlength=len(values))
    lower = np.concatenate([[0.0], values[:-1]])
    thresholds = (values + lower) / 2.0
    sensitivity = 1.0 - (np.cumsum(present) - present) / present.sum()
    specificity = (np.cumsum(absent) - absent) / absent.sum()
    if values[-1] < 1.0:  # above all of them nothing is positive
        thresholds = np.append(thresholds, (values[-1] + 1.0) / 2.0)
        sensitivity, specificity = np.append(sensitivity, 0.0), np.append(specificity, 1.0)
    return thresholds, sensitivity, specificity
