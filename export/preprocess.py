"""Turn uint8 radiographs into what a network was trained on, inside the graph."""

from typing import Any, Final, Literal

import keras
import tensorflow as tf

from export.calls import behind, inputs_of, is_keras, kind_of
from export.errors import UnsupportedModelError

Preprocessing = Literal["densenet", "rescale", "none"]

# ImageNet statistics for pixels in [0, 1], red, green, blue: keras.applications.densenet.preprocess_input.
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

IN_WORDS: Final[dict[Preprocessing, str]] = {
    "densenet": "x / 255, then minus the ImageNet mean and divided by its standard deviation",
    "rescale": "x / 255",
    "none": "none: pixels as floats from 0 to 255",
}


# What normalises pixels where nothing but it and the image has been at work; code of a model's own may do so.
_NORMALISERS: Final = {
    "Add", "Divide", "DivideNoNan", "Lambda", "Multiply", "Normalization", "Rescaling", "Subtract", "TrueDivide",
}  # fmt: skip


def settle_preprocessing(
    asked: Preprocessing | None,
    logits: keras.KerasTensor,
    integers: keras.layers.InputLayer | None = None,
) -> Preprocessing:
    """Return what was asked for, or ``densenet`` where nothing was.

    Args:
        asked: What the pixels went through in training, if anybody said.
        logits: The network's symbolic logits.
        integers: An input of the network that takes integers, if there is one.

    Raises:
        UnsupportedModelError: No such preprocessing, or another than ``none`` for a network that takes integers; or
            none was named for a network that normalises pixels itself, which ``densenet`` would do a second time.
    """
    if integers is not None and asked != "none":
        raise UnsupportedModelError(
            "expected --preprocess none for a model that takes integers, as this one does "
            f"({integers.dtype}, in its input {integers.name!r}), to which densenet and rescale would be rounded, got "
            f"{asked or 'none named'}; pass --preprocess none (MODEL_PREPROCESS=none) if it was trained on pixels "
            "from 0 to 255"
        )
    if asked is not None:
        return _known(asked)
    own = next((call for call in behind(logits) if _normalises_pixels(call)), None)
    if own is not None:
        raise UnsupportedModelError(
            "expected --preprocess for a model that normalises pixels itself, as this one does, or may do, in layer "
            f"{own.operation.name!r}, got none; pass --preprocess none (MODEL_PREPROCESS=none) if it was trained on "
            "pixels from 0 to 255, or name what they went through before: densenet or rescale"
        )
    return "densenet"


def preprocess(image: tf.Tensor, kind: Preprocessing, channels: int) -> tf.Tensor:
    """Build the part of the graph between the request and the network.

    Args:
        image: uint8 ``[N, H, W, 1]``.
        kind: ``densenet``, ``rescale`` or ``none``.
        channels: Channels that the network wants, 1 or 3; gray is repeated.

    Returns:
        float32 ``[N, H, W, channels]``.

    Raises:
        UnsupportedModelError: No such preprocessing, or ``densenet`` was asked for a network with one channel.
    """
    _known(kind)
    pixels = tf.cast(image, tf.float32)
    if channels == 3:
        pixels = tf.tile(pixels, [1, 1, 1, 3])
    if kind == "none":
        return pixels
    if kind == "rescale":
        return pixels / 255.0
    if channels != 3:
        raise UnsupportedModelError(
            "expected a network with three channels for the preprocessing densenet (its statistics are per colour), "
            f"got {channels}; use --preprocess rescale or none"
        )
    return (pixels / 255.0 - tf.constant(IMAGENET_MEAN)) / tf.constant(IMAGENET_STD)


def learns(operation: Any) -> bool:
    """Tell whether an operation applies weights, other than to normalise pixels."""
    return bool(getattr(operation, "weights", ())) and kind_of(operation) not in _NORMALISERS


def _known(kind: Preprocessing) -> Preprocessing:
    if kind not in IN_WORDS:
        raise UnsupportedModelError(
            f"expected the preprocessing {', '.join(IN_WORDS)}, got {kind!r}; name one with --preprocess"
        )
    return kind


def _normalises_pixels(call: Any) -> bool:
    """Tell whether a call scales or shifts what no weights have been applied to, or may do so."""
    before = (each.operation for tensor in inputs_of(call) for each in behind(tensor))
    may = kind_of(call.operation) in _NORMALISERS or not is_keras(call.operation)
    return may and not any(map(learns, before))
