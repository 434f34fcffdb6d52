"""Build one classifier of every shape that users bring, each with the tensors that an independent tape needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.support.grad_cam import grad_cam
from tests.support.tiny_models import shake_batch_norm

layers = keras.layers
SIZE = 24
LABELS = ("first", "second", "third", "fourth")


@dataclass(frozen=True)
class Shape:
    """Hold a model with its two halves, called eagerly by tests that know where the features are.

    ``trunk`` maps pixels ``[N, H, W, C]`` to features, ``head`` maps features to logits ``[N, L]``.
    """

    model: keras.Model
    trunk: keras.Model
    head: Callable[[Any], Any]


def backbone(channels: int = 3, name: str = "backbone") -> keras.Model:
    """Build conv, batch norm, ReLU, a concatenation as DenseNet has it, conv: 24x24 to 6x6x12, not all positive."""
    image = keras.Input((SIZE, SIZE, channels))
    values = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    values = layers.ReLU()(layers.BatchNormalization()(values))
    more = layers.Conv2D(4, 3, padding="same", activation="relu")(values)
    values = layers.Concatenate()([values, more])
    values = layers.Conv2D(12, 3, strides=2, padding="same", activation="swish", name="features")(
        values
    )
    return keras.Model(image, values, name=name)


def functional(
    pooling: Callable[[Any], Any],
    head: Callable[[Any], Any],
    activation: str | None,
    channels: int = 3,
    before: keras.Layer | None = None,
) -> Shape:
    """Build a flat functional model."""
    image = keras.Input((SIZE, SIZE, channels))
    features = backbone(channels).call(image if before is None else before(image))
    return _closed(image, features, pooling, head, activation)


def _closed(
    image: Any,
    features: Any,
    pooling: Callable[[Any], Any],
    head: Callable[[Any], Any],
    activation: str | None,
) -> Shape:
    logits = head(pooling(features))
    output = layers.Activation(activation)(logits) if activation else logits
    return Shape(
        keras.Model(image, output),
        keras.Model(image, features),
        lambda values: head(pooling(values)),
    )


def sequential_nested() -> Shape:
    """Build ``Sequential([backbone, GAP, Dropout, Dense(sigmoid)])``, the backbone as one layer."""
    trunk, pooling = backbone(), layers.GlobalAveragePooling2D()
    dense = layers.Dense(len(LABELS), activation="sigmoid")
    model = keras.Sequential([trunk, pooling, layers.Dropout(0.3), dense])
    model.build((None, SIZE, SIZE, 3))
    return Shape(model, trunk, lambda values: _linear(dense, pooling(values)))


def twice_nested() -> Shape:
    """Build a functional model holding a Sequential that holds the functional backbone."""
    trunk, pooling = backbone(1), layers.GlobalAveragePooling2D()
    inner = keras.Sequential([keras.Input((SIZE, SIZE, 1)), trunk, pooling], name="inner")
    image = keras.Input((SIZE, SIZE, 1))
    dense = layers.Dense(len(LABELS), activation="softmax")
    model = keras.Model(image, dense(inner(image)))
    return Shape(model, trunk, lambda values: _linear(dense, pooling(values)))


class Subclassed(keras.Model):  # type: ignore[misc]
    """Call a backbone and a head from Python."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = backbone()
        self.pooling = layers.GlobalMaxPooling2D()
        self.hidden = layers.Dense(10, activation="tanh")
        self.dense = layers.Dense(len(LABELS))

    def call(self, image: Any, training: bool = False) -> Any:
        """Answer probabilities, ``[N, L]``."""
        values = self.hidden(self.pooling(self.trunk(image, training=training)))
        return keras.ops.sigmoid(self.dense(values))


def subclassed() -> Shape:
    """Build a subclassed model whose probabilities come from ``keras.ops``."""
    model = Subclassed()
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return Shape(
        model,
        model.trunk,
        lambda values: model.dense(model.hidden(model.pooling(values))),
    )


def application() -> Shape:
    """Build a Keras application of the real kind, small: MobileNet's features and head at 64x64."""
    trunk = keras.applications.MobileNet(
        include_top=False, weights=None, alpha=0.25, input_shape=(64, 64, 3)
    )
    pooling, dense = (
        layers.GlobalAveragePooling2D(),
        layers.Dense(len(LABELS), activation="sigmoid"),
    )
    model = keras.Model(trunk.input, dense(pooling(trunk.output)))
    return Shape(model, trunk, lambda values: _linear(dense, pooling(values)))


def _quantized() -> Shape:
    """Build a head whose dense layer rounds what it reads and its weights to 8 bits."""
    dense = _dense()
    shape = functional(MEAN(), dense, "sigmoid")
    dense.quantize("int8")
    return shape


def scale_invariant(normalize: Callable[[], keras.Layer], activation: str) -> Shape:
    """Build a head that does not mind its input's scale, so that each map has the mean 0, on flat images all over."""
    image = keras.Input((SIZE, SIZE, 3))
    values = layers.Conv2D(16, 3, strides=2, activation="relu")(image)
    features = layers.Conv2D(32, 3, strides=2, activation="relu")(values)
    normal, dense = normalize(), layers.Dense(len(LABELS))
    return _closed(image, features, MEAN(), lambda values: dense(normal(values)), activation)


def _linear(dense: keras.layers.Dense, values: Any) -> Any:
    return tf.matmul(values, dense.kernel) + dense.bias


def _mlp() -> Callable[[Any], Any]:
    head: Callable[[Any], Any] = keras.Sequential(
        [layers.Dense(9, activation="relu"), layers.BatchNormalization(), layers.Dense(len(LABELS))]
    )
    return head


def _dense() -> keras.Layer:
    return layers.Dense(len(LABELS))


def _both() -> Callable[[Any], Any]:
    mean, most, join = (
        layers.GlobalAveragePooling2D(),
        layers.GlobalMaxPooling2D(),
        layers.Concatenate(),
    )
    return lambda values: join([mean(values), most(values)])


def _one_by_one() -> Shape:
    pooling, head, flat = (
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Conv2D(len(LABELS), 1),
        layers.Flatten(),
    )
    return functional(pooling, lambda values: flat(head(values)), "sigmoid")


def _with_a_named_output() -> Shape:
    shape = functional(MEAN(), _dense(), "sigmoid")
    model = keras.Model(shape.model.input, {"probs": shape.model.output})
    return Shape(model, shape.trunk, shape.head)


def _convolutional(pooling: keras.Layer, activation: str | None) -> Shape:
    """Build a fully convolutional model, whose features are a map per label: 6x6x4."""
    image = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(len(LABELS), 1)(backbone().call(image))
    return _closed(image, features, pooling, lambda values: values, activation)


MEAN, MOST, FLAT = layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, layers.Flatten

SHAPES: Mapping[str, Callable[[], Shape]] = {
    "functional, mean, dense, sigmoid": lambda: functional(MEAN(), _dense(), "sigmoid"),
    "functional, mean, dense, softmax, gray": lambda: functional(MEAN(), _dense(), "softmax", 1),
    "functional, mean, dense, logits": lambda: functional(MEAN(), _dense(), None),
    "functional, max, dense, sigmoid, gray": lambda: functional(MOST(), _dense(), "sigmoid", 1),
    "functional, flatten, dense, sigmoid": lambda: functional(FLAT(), _dense(), "sigmoid"),
    "functional, mean, two layers, softmax": lambda: functional(MEAN(), _mlp(), "softmax"),
    "functional, max, two layers, logits": lambda: functional(MOST(), _mlp(), None),
    "functional, flatten, two layers, sigmoid, gray": lambda: functional(
        FLAT(), _mlp(), "sigmoid", 1
    ),
    "functional, mean and max joined": lambda: functional(_both(), _dense(), "sigmoid"),
    "functional, keras.ops mean": lambda: functional(
        lambda values: keras.ops.mean(values, axis=(1, 2)), _dense(), "sigmoid"
    ),
    "functional, average pooling then flatten": lambda: functional(
        keras.Sequential([layers.AveragePooling2D(6), FLAT()]), _dense(), "sigmoid"
    ),
    "functional, channels first, flatten, dense": lambda: functional(
        keras.Sequential([layers.Permute((3, 1, 2)), FLAT()]), _dense(), "sigmoid"
    ),
    "functional, keras.ops channels first, flatten, two layers": lambda: functional(
        lambda values: FLAT()(keras.ops.moveaxis(values, -1, 1)), _mlp(), "softmax"
    ),
    "functional, channels first, keras.ops mean": lambda: functional(
        lambda values: keras.ops.mean(keras.ops.transpose(values, (0, 3, 1, 2)), axis=(2, 3)),
        _dense(),
        "sigmoid",
    ),
    "functional, channels first by groups": lambda: functional(
        keras.Sequential([layers.Permute((3, 1, 2)), layers.Reshape((4, 3, 36)), FLAT()]),
        _dense(),
        "sigmoid",
    ),
    "functional, keepdims and 1x1 convolution": _one_by_one,
    "functional, own rescaling": lambda: functional(
        MEAN(), _dense(), "sigmoid", 3, layers.Rescaling(1 / 255)
    ),
    "functional, own normalisation, gray": lambda: functional(
        MEAN(), _dense(), "sigmoid", 1, layers.Normalization(mean=120.0, variance=900.0)
    ),
    "functional, mean, dense of 8 bits": _quantized,
    "layer normalisation after the mean": lambda: scale_invariant(
        lambda: layers.LayerNormalization(epsilon=1e-6), "sigmoid"
    ),
    "unit length after the mean": lambda: scale_invariant(layers.UnitNormalization, "softmax"),
    "fully convolutional, mean, sigmoid": lambda: _convolutional(MEAN(), "sigmoid"),
    "fully convolutional, max, softmax": lambda: _convolutional(MOST(), "softmax"),
    "fully convolutional, mean, logits": lambda: _convolutional(MEAN(), None),
    "functional, output with a name": _with_a_named_output,
    "nested, mean, dropout, dense": sequential_nested,
    "twice nested, softmax, gray": twice_nested,
    "subclassed, max, two layers": subclassed,
    "an application": application,
}
OWN_SCALE = {"functional, own rescaling", "functional, own normalisation, gray"}


def build(name: str) -> Shape:
    """Build one shape, with weights that are the same every time and batch norm that does something."""
    keras.utils.set_random_seed(7)
    shape = SHAPES[name]()
    shake_batch_norm(shape.model)
    return shape


def tape_maps(shape: Shape, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Compute Grad-CAM of what an eager tape over the whole network says of each logit: ``[N, L, h, w]``, in logits."""
    gradients = []
    for label in range(len(LABELS)):
        with tf.GradientTape() as tape:
            features = tf.convert_to_tensor(shape.trunk(tf.constant(pixels)))
            logit = shape.head(features)[:, label]
        gradients.append(tape.gradient(logit, features).numpy())
    each = zip(features.numpy(), np.stack(gradients, axis=1), strict=True)
    return np.stack([grad_cam(activations, gradient) for activations, gradient in each])
