"""Build a DenseNet121 that has learned nothing, so that the service can run before there are weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import keras

from export.servable import export_model
from serving.contract import DEFAULT_LABELS

WARNING: Final = (
    "The weights of this model are untrained: "
    "its probabilities and heatmaps are random and say nothing about the image."
)


def build_untrained(seed: int = 0) -> keras.Model:
    """Build DenseNet121 with global average pooling and a dense sigmoid head, randomly initialised.

    Sets Keras' global random seed.

    Args:
        seed: The same seed gives the same weights.
    """
    keras.utils.set_random_seed(seed)
    backbone = keras.applications.DenseNet121(
        include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(backbone.output)
    answer = keras.layers.Dense(len(DEFAULT_LABELS), activation="sigmoid", name="labels")(pooled)
    return keras.Model(backbone.input, answer, name="densenet121")


def export_untrained(
    output: Path, seed: int = 0, report: Callable[[str], None] = lambda _: None, **options: Any
) -> Path:
    """Export the untrained DenseNet121 with a warning that every report repeats.

    Args:
        output: The model's folder, ``models/densenet``.
        seed: Of the random weights.
        report: Called with a sentence as each step begins.
        options: Passed on to :func:`export.servable.export_model`.

    Returns:
        The version's directory.
    """
    report("Building an untrained DenseNet121")
    return export_model(
        build_untrained(seed),
        output,
        weights="untrained",
        warnings=(WARNING,),
        training_data="none: random weights",
        details={"seed": seed},
        report=report,
        **options,
    )
