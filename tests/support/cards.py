"""Model cards of models that there are not."""

from typing import Any

from serving.contract import ModelCard


def card(**changes: Any) -> ModelCard:
    """Return the card of a model of two labels, or of others, with thresholds of a half and what else differs."""
    values: dict[str, Any] = {
        "labels": ("Mass", "Edema"),
        "input_height": 4,
        "input_width": 4,
        "preprocessing": "none",
        "architecture": "a test's",
        "activation": "sigmoid",
        "target_layer": "relu",
        "map_height": 2,
        "map_width": 2,
        "weights": "user",
        "weights_sha256": "0" * 64,
    }
    values |= changes
    values.setdefault("thresholds", (0.5,) * len(values["labels"]))
    return ModelCard(**values)
