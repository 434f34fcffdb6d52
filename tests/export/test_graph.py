"""Check what can be frozen, and what is said of the rest."""

from typing import Any

import keras
import pytest

from export.anatomy import dissect
from export.errors import UnsupportedModelError
from export.graph import OUTPUTS, build_graph

pytestmark = pytest.mark.tensorflow


class _Counting(keras.layers.Layer):  # type: ignore[misc]
    """Count its calls."""

    def build(self, _: Any) -> None:
        self.calls = self.add_weight(initializer="zeros", trainable=False, name="calls")

    def call(self, values: Any) -> Any:
        self.calls.assign_add(1.0)
        return values


def _frozen(*head: keras.Layer) -> Any:
    """Freeze a network of one convolution, whose features the layers of a head read as eight steps."""
    image = keras.Input((8, 8, 1))
    values = keras.layers.Reshape((8, 16))(keras.layers.Conv2D(2, 1)(image))
    for layer in head:
        values = layer(values)
    return build_graph(dissect(image, keras.layers.Dense(2)(values)), "none")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ([keras.layers.LSTM(3, name="reader")], "/reader"),
        ([keras.layers.Bidirectional(keras.layers.GRU(3), name="both")], "/both"),
        ([_Counting(name="counter"), keras.layers.Flatten()], "/counter"),
    ],
)
def test_variables_that_cannot_be_frozen_are_refused_with_the_operation_that_needs_them(
    head: list[keras.Layer], name: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"it can't: .*node \S+{name}.*unroll=True"):
        _frozen(*head)


def test_an_unrolled_recurrent_layer_is_frozen() -> None:
    nodes = {node.name: node.op for node in _frozen(keras.layers.LSTM(3, unroll=True)).node}
    assert set(OUTPUTS) < set(nodes)
    assert "VarHandleOp" not in nodes.values()
