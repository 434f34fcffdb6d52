"""Build the frozen inference graph of a network: preprocessing, trunk, head and activation maps."""

import keras
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from export.anatomy import Anatomy
from export.errors import UnsupportedModelError
from export.maps import map_function
from export.preprocess import Preprocessing, preprocess
from serving.contract import (
    INPUT_IMAGE,
    OUTPUT_ACTIVATION_MAPS,
    OUTPUT_LOGITS,
    OUTPUT_PROBABILITIES,
)

OUTPUTS = (OUTPUT_LOGITS, OUTPUT_PROBABILITIES, OUTPUT_ACTIVATION_MAPS)
NETWORK_INPUT = "network_input"  # between preprocessing and trunk
FEATURES = "features"  # between trunk and head


def build_graph(anatomy: Anatomy, preprocessing: Preprocessing) -> GraphDef:
    """Trace and freeze a network.

    Args:
        anatomy: The network.
        preprocessing: What happens to the pixels before the network sees them.

    Returns:
        A graph of constants, with the placeholder ``image`` (uint8 ``[N, H, W, 1]``) and the float32 nodes ``logits``
        ``[N, L]``, ``probabilities`` ``[N, L]`` and ``activation_maps`` ``[N, L, h, w]``.

    Raises:
        UnsupportedModelError: An operation takes a variable itself, not its value, and so can't be frozen.
    """
    height, width, channels = anatomy.image.shape[1:]
    trunk = keras.Model(anatomy.image, anatomy.features, name="trunk")
    answers = [anatomy.logits] if anatomy.pooled is None else [anatomy.logits, anatomy.pooled]
    head = keras.Model(anatomy.features, answers, name="head")
    maps = map_function(anatomy)

    def explain(image: tf.Tensor) -> dict[str, tf.Tensor]:
        # TF Serving does not enforce a signature's shapes, and a wrong rank aborts it inside oneDNN.
        image = tf.ensure_shape(image, [None, height, width, 1])
        pixels = preprocess(image, preprocessing, channels)
        pixels = tf.identity(pixels, name=NETWORK_INPUT)
        features = tf.identity(trunk(pixels, training=False), name=FEATURES)
        logits, *pooled = keras.tree.flatten(head(features, training=False))
        logits = tf.cast(logits, tf.float32)
        return {
            OUTPUT_LOGITS: logits,
            OUTPUT_PROBABILITIES: _probabilities(anatomy, logits),
            OUTPUT_ACTIVATION_MAPS: maps(features, *(pooled or [features])),
        }

    signature = tf.TensorSpec([None, height, width, 1], tf.uint8, name=INPUT_IMAGE)
    traced = tf.function(explain, autograph=False).get_concrete_function(signature)
    frozen = _freeze(traced)
    graph: GraphDef = frozen.graph.as_graph_def()
    return _name_outputs(graph, frozen)


def _freeze(
    traced: tf.types.experimental.ConcreteFunction,
) -> tf.types.experimental.ConcreteFunction:
    """Make constants of the variables."""
    try:
        return convert_variables_to_constants_v2(traced)
    except ValueError as err:
        raise UnsupportedModelError(
            "expected a network whose variables TensorFlow can make constants, got one where it can't: "
            f"{str(err).rstrip('.')}; build a recurrent layer with unroll=True, and take out a layer that changes a "
            "variable while it predicts"
        ) from err


def _probabilities(anatomy: Anatomy, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(logits) if anatomy.activation == "softmax" else tf.nn.sigmoid(logits)


def _name_outputs(graph: GraphDef, frozen: tf.types.experimental.ConcreteFunction) -> GraphDef:
    """Give the graph's outputs the names of the contract, and its nodes a fixed order without attributes of tracing."""
    # A dict's outputs are sorted
    for name, tensor in zip(sorted(OUTPUTS), frozen.outputs, strict=True):
        node = graph.node.add(op="Identity", name=name)
        node.input.append(tensor.name.removesuffix(":0"))
        node.attr["T"].type = tensor.dtype.as_datatype_enum
    pruned: GraphDef = tf.compat.v1.graph_util.extract_sub_graph(graph, list(OUTPUTS))
    for node in pruned.node:
        for attribute in [key for key in node.attr if key.startswith("_")]:
            del node.attr[attribute]
    return pruned
