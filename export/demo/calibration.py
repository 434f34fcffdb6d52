"""Fit probabilities and thresholds to validation phantoms."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_RIDGE = 1e-3
_STEPS = 50


def fit_platt(logits: Floats, labels: Floats) -> tuple[float, float]:
    """Return slope and shift that make sigmoid(slope·logit + shift) likeliest, logits and labels [N].

    Platt (1999), by Newton steps with a small ridge towards the identity; the slope stays positive,
    so that no order and no activation map changes its sense.
    """
    beta = np.array([1.0, 0.0])
    design = np.column_stack([logits, np.ones_like(logits)]).astype(np.float64)
    prior = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        probability = sigmoid(design @ beta)
        gradient = design.T @ (probability - labels) + _RIDGE * (beta - prior)
        curvature = design.T @ (design * (probability * (1 - probability))[:, None])
        change = np.linalg.solve(curvature + _RIDGE * np.eye(2), gradient)
        beta = beta - np.clip(change, -1, 1)
    return max(float(beta[0]), 1e-3), float(beta[1])


def sigmoid(logits: Floats) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)) without overflow, any shape."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))


def best_f1(labels: Floats, probabilities: Floats) -> float:
    """Return the threshold of the best F1 score, in the middle of its gap; labels and probabilities [N].

    Raises:
        ValueError: No label is 1, so no threshold is better than another.
    """
    if not (labels > 0.5).any():
        raise ValueError("expected at least one positive label to set a threshold, got none")
    order = np.argsort(-probabilities, kind="stable")
    ranked, present = probabilities[order], labels[order] > 0.5
    found = np.cumsum(present)
    score = 2 * found / (np.arange(1, len(ranked) + 1) + present.sum())
    score[:-1][ranked[:-1] == ranked[1:]] = 0  # equal probabilities cannot be told apart
    last = int(score.argmax())
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float((ranked[last] + below) / 2)
