"""Walk a flat graph of layers, call by call, from what was made back to what it was made of."""

from collections.abc import Iterator
from typing import Any

import keras


def kind_of(operation: Any) -> str:
    """Return the name of an operation's class."""
    return type(operation).__name__


def is_keras(operation: Any) -> bool:
    """Tell whether an operation's class is Keras' own."""
    return type(operation).__module__.partition(".")[0] == "keras"


def activation_of(operation: Any) -> str:
    """Return the name of the activation that a layer ends with; "linear" for an operation that has none."""
    function = getattr(operation, "activation", None)
    return "linear" if function is None else getattr(function, "__name__", str(function))


def call_of(tensor: keras.KerasTensor) -> Any:
    """Return the call that made a tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def inputs_of(call: Any) -> list[keras.KerasTensor]:
    """Return the tensors that a call read."""
    return list(call.input_tensors)


def behind(tensor: keras.KerasTensor) -> Iterator[Any]:
    """Yield every call that a tensor depends on, nearest first."""
    queue, seen = [tensor], set()
    while queue:
        call = call_of(queue.pop(0))
        if id(call) in seen:
            continue
        seen.add(id(call))
        yield call
        queue.extend(inputs_of(call))


def between(start: keras.KerasTensor, end: keras.KerasTensor) -> list[Any]:
    """Return the calls that make one tensor out of another."""
    before = {id(call) for call in behind(start)}
    return [call for call in behind(end) if id(call) not in before]
