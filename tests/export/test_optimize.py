"""Check that rewriting a graph changes its operations and not its answers."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from export.anatomy import dissect
from export.errors import VerificationError
from export.flatten import flatten
from export.graph import build_graph
from export.loaders import session_loader
from export.optimize.editor import Editor
from export.optimize.passes import optimize
from export.probes import probe_images
from export.servable import export_model
from serving.contract import ModelCard
from tests.support.tiny_models import shake_batch_norm, small_model

pytestmark = pytest.mark.tensorflow
layers = keras.layers


def dense_block() -> keras.Model:
    """Build what a DenseNet is made of: a dense layer with both its batch norms, and a transition."""
    keras.utils.set_random_seed(3)
    image = keras.Input((32, 32, 3))
    values = layers.Conv2D(8, 3, strides=2, use_bias=False, padding="same")(image)
    more = layers.ReLU()(layers.BatchNormalization()(values))
    more = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(12, 1, use_bias=False)(more)))
    more = layers.Conv2D(4, 3, padding="same", use_bias=False)(more)
    values = layers.Concatenate()([values, more])
    values = layers.ReLU()(layers.BatchNormalization()(values))
    values = layers.AveragePooling2D(2)(layers.Conv2D(10, 1, use_bias=False)(values))
    values = layers.ReLU()(layers.BatchNormalization()(values))
    output = layers.Dense(15, activation="sigmoid")(layers.GlobalAveragePooling2D()(values))
    model = keras.Model(image, output)
    shake_batch_norm(model)
    return model


def frozen(model: keras.Model) -> Any:
    image = keras.Input(model.input_shape[1:])
    return build_graph(dissect(image, flatten(model, image)), "rescale")


def answers(graph: Any, images: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        outputs: list[np.ndarray[Any, Any]] = session.run(
            ["logits:0", "probabilities:0", "activation_maps:0"], {"image:0": images}
        )
        return outputs


def operations(graph: Any) -> Counter[str]:
    return Counter(node.op for node in graph.node)


def test_batch_norm_folds_and_pooling_comes_first_without_changing_the_answer() -> None:
    graph = frozen(dense_block())
    optimized = optimize(graph)
    images = probe_images(3, 32, 32)

    for before, after in zip(answers(graph, images), answers(optimized, images), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)
    assert not {"Mul", "AddV2", "Rsqrt"} & set(operations(optimized))
    # Three batch norms follow a concatenation, a pooling, or a convolution that others read too.
    assert operations(optimized)["DepthwiseConv2dNative"] == 3
    nodes = {node.name: node for node in optimized.node}
    (pool,) = [node for node in optimized.node if node.op == "AvgPool"]
    assert nodes[pool.input[0]].op == "Relu"


def test_negative_and_zero_scales_are_kept() -> None:
    model = dense_block()
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            scale, *rest = layer.get_weights()
            scale[::2] *= -1
            scale[1] = 0
            layer.set_weights([scale, *rest])
    graph, images = frozen(model), probe_images(2, 32, 32)
    for before, after in zip(answers(graph, images), answers(optimize(graph), images), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def normalized_by_layer(values: Any) -> Any:
    return layers.LayerNormalization()(values)


def widened(values: Any) -> Any:
    return layers.Conv2D(1, 3)(values) * np.arange(8, dtype=np.float32)


def split_and_pooled(values: Any) -> Any:
    parts = keras.ops.split(values, [12], axis=-1)
    return layers.Concatenate()([layers.AveragePooling2D(2)(part * 2.0) for part in parts])


def pooled_of_a_later_part(values: Any) -> Any:
    return layers.AveragePooling2D(2)(keras.ops.split(values, 2, axis=-1)[1])


@pytest.mark.parametrize(
    "part", [normalized_by_layer, widened, split_and_pooled, pooled_of_a_later_part]
)
def test_channels_that_arise_on_the_way_are_not_folded(part: Callable[[Any], Any]) -> None:
    keras.utils.set_random_seed(4)
    image = keras.Input((32, 32, 3))
    values = part(layers.Conv2D(16, 3, strides=2, activation="relu")(image))
    values = layers.Conv2D(8, 1, activation="relu")(values)
    output = layers.Dense(15)(layers.GlobalAveragePooling2D()(values))
    graph, images = frozen(keras.Model(image, output)), probe_images(2, 32, 32)

    for before, after in zip(answers(graph, images), answers(optimize(graph), images), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_the_trunk_computes_in_bfloat16_and_the_head_in_float32() -> None:
    optimized = optimize(frozen(dense_block()), "bfloat16")
    types = {
        (node.op, tf.as_dtype(node.attr["T"].type).name)
        for node in optimized.node
        if node.op in ("Conv2D", "DepthwiseConv2dNative", "Relu", "ConcatV2", "MatMul", "Mean")
    }
    assert types == {
        ("Conv2D", "bfloat16"), ("DepthwiseConv2dNative", "bfloat16"), ("Relu", "bfloat16"),
        ("ConcatV2", "bfloat16"), ("MatMul", "float32"), ("Mean", "float32"),
    }  # fmt: skip
    assert operations(optimized)["Cast"] == 3  # uint8 to float32, there and back
    exact = answers(frozen(dense_block()), probe_images(2, 32, 32))
    for before, after in zip(exact, answers(optimized, probe_images(2, 32, 32)), strict=True):
        assert after.dtype == np.float32
        np.testing.assert_allclose(after, before, atol=0.02 * np.abs(before).max())


def test_swish_and_squeeze_and_excitation_compute_in_bfloat16() -> None:
    image = keras.Input((32, 32, 3))
    values = layers.Conv2D(8, 3, strides=2, activation="swish")(image)
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(values)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(squeezed)
    values = layers.Conv2D(8, 3, activation="swish")(layers.Multiply()([values, gate]))
    output = layers.Dense(15)(layers.GlobalAveragePooling2D()(values))
    graph, images = frozen(keras.Model(image, output)), probe_images(2, 32, 32)
    optimized = optimize(graph, "bfloat16")
    assert "IdentityN" not in operations(optimized)
    for before, after in zip(answers(graph, images), answers(optimized, images), strict=True):
        np.testing.assert_allclose(after, before, atol=0.03 * np.abs(before).max())


def test_the_editor_orders_nodes_and_drops_what_no_output_needs() -> None:
    with tf.Graph().as_default() as graph:
        value = tf.compat.v1.placeholder(tf.float32, [2], name="value")
        tf.negative(value, name="unused")
        tf.square(value, name="out")
    editor = Editor(graph.as_graph_def(), ["out"])
    name = editor.add_constant("two", np.array(2, np.float32))
    editor.redirect(
        {"value": editor.add("Mul", "doubled", ["value", name], T=editor.nodes["out"].attr["T"])}
    )
    editor.nodes["doubled"].input[0] = "value"

    assert [node.name for node in editor.graph_def().node] == ["value", "two", "doubled", "out"]
    assert editor.constant("two") == 2
    assert editor.constant("value") is None


def test_bfloat16_passes_its_gate_and_says_so_in_the_card(tmp_path: Path) -> None:
    told: list[str] = []
    version = export_model(small_model(), tmp_path, precision="bfloat16", report=told.append)
    with session_loader(version) as call:
        answer = call("describe", {"request": np.zeros(1, np.int32)})["card"][0]
    card = ModelCard.from_json(answer)
    assert card.details["precision"] == "bfloat16"
    assert 1e-5 <= card.verification["differences_at_most"]["probability"] <= 0.02
    assert card.verification["map_correlation_at_least"] >= 0.99
    assert card.verification["findings_compared"] == 11 * 15
    assert any("findings changed sides" in sentence for sentence in told)


def test_bfloat16_that_moves_probabilities_is_not_published(tmp_path: Path) -> None:
    model = small_model()
    kernel, bias = model.get_layer("labels").get_weights()
    model.get_layer("labels").set_weights([kernel * 1e4, bias])
    with pytest.raises(VerificationError, match=r"probabilities within 0\.02 of the Keras"):
        export_model(model, tmp_path, precision="bfloat16")
    assert not list(tmp_path.iterdir())
