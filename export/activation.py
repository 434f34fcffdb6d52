"""Find what turns a network's logits into probabilities."""

from typing import Final

import keras

from export.calls import activation_of, between, call_of, inputs_of, kind_of
from export.errors import UnsupportedModelError
from serving.contract import Activation

# Operations that change neither values nor their order, so that one may look through them for the activation.
_TRANSPARENT: Final = {"Cast", "Dropout", "Flatten", "Identity", "Reshape"}
_POOLINGS: Final = {
    "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Max", "MaxPooling2D", "Mean",
}  # fmt: skip
# By class of the operation, and by name of the function that a layer ends with.
_ACTIVATIONS: Final[dict[str, Activation]] = {
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
}
# Operations whose answers are logarithms of probabilities, by class, with the name of the function.
_LOGARITHMS: Final = {"LogSigmoid": "log_sigmoid", "LogSoftmax": "log_softmax"}


def split_activation(
    output: keras.KerasTensor, said: Activation | None = None
) -> tuple[keras.KerasTensor, Activation | None]:
    """Return the logits behind an output and the activation between the two; None where there is none.

    Args:
        output: ``[N, L]``.
        said: How probabilities follow from the output, where the user says so: softmax makes log_softmax logits.

    Raises:
        UnsupportedModelError: The activation is none of sigmoid, softmax, linear, or can't be taken off its layer.
    """
    tensor = output
    while _is_transparent(operation := tensor._keras_history.operation):
        before = inputs_of(call_of(tensor))
        if not before or len(before[0].shape) != 2:
            break
        tensor = before[0]
    if kind_of(operation) in _ACTIVATIONS:
        return inputs_of(call_of(tensor))[0], _ACTIVATIONS[kind_of(operation)]
    name = _LOGARITHMS.get(kind_of(operation), activation_of(operation))
    # The softmax of logarithms of probabilities that sum to one is these probabilities.
    if name == "linear" or (name, said) == ("log_softmax", "softmax"):
        return tensor, None
    if name not in _ACTIVATIONS:
        way_out = ", or say --activation softmax" if name == "log_softmax" else ""
        raise UnsupportedModelError(
            f"expected a last activation among sigmoid, softmax and linear, got {name!r} in layer "
            f"{operation.name!r}; export a model that ends with one of these{way_out}"
        )
    before = inputs_of(call_of(tensor))
    if kind_of(operation) == "Activation":
        return before[0], _ACTIVATIONS[name]
    return _without_activation(operation, before[0]), _ACTIVATIONS[name]


def squashes(start: keras.KerasTensor, end: keras.KerasTensor) -> bool:
    """Tell whether a sigmoid or softmax lies between two tensors, or makes the first."""
    calls = [call_of(start), *between(start, end)]
    return any(
        kind_of(call.operation) in _ACTIVATIONS or activation_of(call.operation) in _ACTIVATIONS
        for call in calls
    )


def ends_in_weights(output: keras.KerasTensor) -> bool:
    """Tell whether a dense layer or convolution without activation makes an output, but for pooling behind it."""
    call = call_of(output)
    while _is_transparent(call.operation) or kind_of(call.operation) in _POOLINGS:
        call = call_of(inputs_of(call)[0])
    # The very class: one derived of it may do anything behind the weights.
    return type(call.operation) in (keras.layers.Conv2D, keras.layers.Dense) and (
        activation_of(call.operation) == "linear"
    )


def _is_transparent(operation: object) -> bool:
    kind = kind_of(operation)
    # "linear" in float32 is how a model trained in mixed precision ends.
    return kind in _TRANSPARENT or (kind == "Activation" and activation_of(operation) == "linear")


def _without_activation(layer: keras.Layer, before: keras.KerasTensor) -> keras.KerasTensor:
    """Call a copy of a layer, weights included, that leaves its activation out."""
    config = layer.get_config()
    if "activation" not in config:
        raise UnsupportedModelError(
            f"expected the last layer to have its activation in its configuration, got {layer.name!r} without; let it "
            "answer logits, and put a keras.layers.Activation behind it"
        )
    copy = type(layer).from_config(config | {"activation": "linear"})
    logits = copy(before)
    copy.set_weights(layer.get_weights())
    return logits
