"""Lay a Keras model out as one flat graph of layers, whatever it is nested in."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Any, Final

import keras

from export.calls import behind
from export.errors import UnsupportedModelError

# Augmentation that returns images as they are at inference, but still draws numbers there: a frozen graph can't.
_DRAWING: Final = {
    keras.layers.MixUp, keras.layers.RandomColorDegeneration, keras.layers.RandomGrayscale, keras.layers.RandomHue,
    keras.layers.RandomPosterization, keras.layers.RandomSaturation, keras.layers.RandomSharpness,
}  # fmt: skip


def flatten(model: keras.Model, image: keras.KerasTensor) -> keras.KerasTensor:
    """Call a model on a symbolic image so that every layer, however nested, is a node of one graph.

    Augmentation that draws numbers even at inference, to no effect, is left out.

    Weights are shared with the model, nothing is copied. Layers of one name, which Keras allows in nested models only,
    are given names of their own: for good, since they are the model's.

    Args:
        model: A functional, Sequential or subclassed model.
        image: Symbolic float32 ``[N, H, W, C]``.

    Returns:
        The model's symbolic output, with the history of every layer behind it.

    Raises:
        UnsupportedModelError: The model cannot be traced, or has several outputs.
    """
    try:
        output = _expand(model, image)
    except UnsupportedModelError:
        raise
    except Exception as err:
        raise UnsupportedModelError(
            f"expected a model whose layers Keras can trace on an input of shape {image.shape}, got "
            f"{type(model).__name__} {model.name!r}, which fails with: {err}; rebuild it from Keras layers and "
            "keras.ops with the functional API, or check --input-size"
        ) from err
    outputs = keras.tree.flatten(output)
    name_apart(outputs)
    if len(outputs) != 1:
        raise UnsupportedModelError(
            f"expected a model with one output [N, labels], got {len(outputs)} outputs; "
            "export keras.Model(model.input, the output that matters)"
        )
    return outputs[0]


def name_apart(outputs: Iterable[keras.KerasTensor]) -> None:
    """Number the operations behind some outputs that share a name, from the input on."""
    calls = [call for output in outputs for call in behind(output)]
    operations = list({id(call.operation): call.operation for call in reversed(calls)}.values())
    counts = Counter(operation.name for operation in operations)
    taken = set(counts)
    for operation in operations:
        name = operation.name
        if counts[name] > 1:
            operation.name = next(free for n in count(1) if (free := f"{name}_{n}") not in taken)
            taken.add(operation.name)


def _expand(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """Call an operation; descend where it is itself made of layers."""
    if type(operation) in _DRAWING:
        return args[0]
    if isinstance(operation, keras.Sequential | keras.layers.Pipeline):
        return _expand_one_by_one(operation.layers, *args)
    if _is_functional(operation):
        _require_one_input(operation)
        return operation._run_through_graph(args[0], call_fn=_expand)
    if isinstance(operation, keras.Model):
        return _expand_subclassed(operation, *args, **kwargs)
    return operation(*args, **kwargs)


def _is_functional(operation: Any) -> bool:
    """Tell whether calling the model is running its graph: a subclass may override ``call``."""
    functional = _functional_class()
    return isinstance(operation, functional) and type(operation).call is functional.call


@cache
def _functional_class() -> Any:
    """Return the class that ``keras.Model(inputs, outputs)`` makes; Keras has no public name for it."""
    scalar = keras.Input((1,))
    return type(keras.Model(scalar, scalar))


def _expand_one_by_one(layers: Iterable[keras.Layer], value: Any, *_: Any) -> Any:
    for layer in layers:
        value = _expand(layer, value)
    return value


def _expand_subclassed(model: keras.Model, value: Any, *args: Any, **kwargs: Any) -> Any:
    """Run ``call`` on symbolic tensors, then descend into the models it called."""
    inside = keras.Input(batch_shape=value.shape, dtype=value.dtype)
    output = model.call(inside, *args, **kwargs)
    name_apart(keras.tree.flatten(output))
    traced = keras.Model(inside, output)
    return traced._run_through_graph(value, call_fn=_expand)


def _require_one_input(model: keras.Model) -> None:
    if len(model.inputs) != 1:
        raise UnsupportedModelError(
            f"expected a model with one input, the image, got {len(model.inputs)} inputs in {model.name!r}; "
            "export a model that takes the image alone"
        )
