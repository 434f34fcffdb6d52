"""Check that probabilities are never put through a second activation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest

from export.errors import UnsupportedModelError
from export.loaders import session_loader
from export.probes import probe_images
from export.servable import export_model
from serving.contract import Activation
from tests.support.model_shapes import LABELS, SIZE, backbone

pytestmark = pytest.mark.tensorflow

layers = keras.layers
Head = Callable[[Any], Any]


def pooled(head: Head) -> keras.Model:
    """Build backbone, global average pooling and a head."""
    trunk = backbone()
    return keras.Model(trunk.input, head(layers.GlobalAveragePooling2D()(trunk.output)))


def dense(activation: str | None, outputs: int = len(LABELS)) -> keras.Layer:
    return layers.Dense(outputs, activation=activation)


def averaged(then: Head) -> keras.Model:
    """Build a fully convolutional model, a map per label that something is done to before it is averaged."""
    trunk = backbone()
    maps = layers.Conv2D(len(LABELS), 1, activation="sigmoid")(trunk.output)
    return keras.Model(trunk.input, layers.GlobalAveragePooling2D()(then(maps)))


def convolution_then_flatten(values: Any) -> Any:
    values = layers.Reshape((1, 1, 12))(values)
    return layers.Flatten()(layers.Conv2D(len(LABELS), 1, activation="sigmoid")(values))


class Squashing(keras.layers.Layer):  # type: ignore[misc]
    """Call a sigmoid that no configuration tells of."""

    def call(self, values: Any) -> Any:
        return keras.ops.sigmoid(values)


class SquashingDense(keras.layers.Dense):  # type: ignore[misc]
    """Answer probabilities without having an activation."""

    def call(self, values: Any, training: bool | None = None) -> Any:
        return keras.ops.sigmoid(super().call(values, training=training))


def behind_a_hidden_sigmoid(values: Any, scale: float) -> Any:
    answer = dense(None)
    logits = answer(dense("sigmoid", 5)(values))
    answer.set_weights([np.full((5, len(LABELS)), scale), np.zeros(len(LABELS))])
    return logits


def served(model: keras.Model, folder: Path, **options: Any) -> tuple[Any, Any]:
    """Return the probabilities that a servable answers, and the model's own output."""
    version = export_model(model, folder, labels=LABELS, preprocess="rescale", **options)
    images = probe_images(3, SIZE, SIZE)
    with session_loader(version) as call:
        answer = call("gradcam", {"image": images})
    return answer["probabilities"], np.asarray(model(np.repeat(images / np.float32(255), 3, -1)))


@pytest.mark.parametrize("activation", get_args(Activation))
def test_a_linear_activation_in_float32_at_the_end_is_looked_through(
    activation: str, tmp_path: Path
) -> None:
    last = layers.Activation("linear", dtype="float32")
    actual, expected = served(pooled(lambda values: last(dense(activation)(values))), tmp_path)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@pytest.mark.parametrize(
    "head",
    [
        lambda values: layers.Concatenate()([dense("sigmoid", 1)(values) for _ in LABELS]),
        lambda values: layers.Average()([dense("sigmoid")(values) for _ in range(2)]),
        lambda values: keras.ops.clip(dense("sigmoid")(values), 1e-7, 1 - 1e-7),
        lambda values: dense("softmax", 5)(values)[:, 1:],
        lambda values: keras.ops.hard_sigmoid(dense(None)(values)),
        lambda values: layers.Lambda(lambda logits: 1 / (1 + keras.ops.exp(-logits)))(dense(None)(values)),
        lambda values: Squashing()(dense(None)(values)),
        SquashingDense(len(LABELS)),
        convolution_then_flatten,
    ],
    ids=[
        "concatenation", "average", "clip", "slice", "hard sigmoid", "lambda", "own layer", "own dense", "convolution",
    ],
)  # fmt: skip
def test_probabilities_that_do_not_end_in_their_activation_are_refused(
    head: Head, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match="say with --activation"):
        export_model(pooled(head), tmp_path, labels=LABELS, preprocess="none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "then",
    [layers.Dropout(0.5), layers.UpSampling2D(), lambda maps: 1 - maps],
    ids=["dropout", "upsampling", "subtraction"],
)
def test_maps_of_probabilities_are_refused_whatever_is_done_before_they_are_averaged(
    then: Head, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match="say with --activation"):
        export_model(averaged(then), tmp_path, labels=LABELS, preprocess="none")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_small_logits_of_a_layer_of_weights_are_taken_for_what_they_are(
    kind: str, tmp_path: Path
) -> None:
    trunk = backbone()
    answer = dense(None, 1) if kind == "dense" else layers.Conv2D(1, 1)
    steps = [layers.GlobalAveragePooling2D(), answer]
    model = keras.Sequential([trunk, *(steps if kind == "dense" else reversed(steps))])
    kernel, bias = answer.get_weights()
    answer.set_weights([0 * kernel, bias + 0.25])
    version = export_model(model, tmp_path, labels=LABELS[:1], preprocess="none")
    with session_loader(version) as call:
        answers = call("gradcam", {"image": probe_images(1, SIZE, SIZE)})
    np.testing.assert_allclose(answers["probabilities"], [[1 / (1 + np.exp(-0.25))]], atol=1e-6)


def test_logits_behind_a_hidden_sigmoid_are_taken_for_what_they_are(tmp_path: Path) -> None:
    model = pooled(lambda values: behind_a_hidden_sigmoid(values, 3.0))
    actual, logits = served(model, tmp_path)
    np.testing.assert_allclose(actual, 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_logits_that_look_like_probabilities_are_exported_where_activation_says_so(
    tmp_path: Path,
) -> None:
    model = pooled(lambda values: behind_a_hidden_sigmoid(values, 0.1))
    with pytest.raises(UnsupportedModelError, match="say with --activation"):
        export_model(model, tmp_path, labels=LABELS, preprocess="none")
    actual, logits = served(model, tmp_path, activation="sigmoid")
    np.testing.assert_allclose(actual, 1 / (1 + np.exp(-logits)), atol=1e-5)


@pytest.mark.parametrize("name", ["log_softmax", "log_sigmoid"])
@pytest.mark.parametrize("kind", ["operation", "layer", "dense"])
def test_logarithms_of_probabilities_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    function = getattr(keras.ops, name) if kind == "operation" else layers.Activation(name)
    model = pooled(dense(name) if kind == "dense" else lambda values: function(dense(None)(values)))
    with pytest.raises(UnsupportedModelError, match=f"softmax and linear, got '{name}'"):
        export_model(model, tmp_path, labels=LABELS, preprocess="none")
    with pytest.raises(UnsupportedModelError, match=f"softmax and linear, got '{name}'"):
        export_model(model, tmp_path, labels=LABELS, preprocess="none", activation="sigmoid")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "head",
    [dense("log_softmax"), lambda values: keras.ops.log_softmax(dense(None)(values))],
    ids=["dense", "operation"],
)
def test_log_softmax_is_served_as_its_probabilities_where_activation_says_softmax(
    head: Head, tmp_path: Path
) -> None:
    actual, logarithms = served(pooled(head), tmp_path, activation="softmax")
    np.testing.assert_allclose(actual, np.exp(logarithms), atol=1e-5)


class Ending(keras.layers.Layer):  # type: ignore[misc]
    """A dense layer whose activation is none of its configuration."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = dense(None)
        self.activation = keras.activations.sigmoid

    def call(self, values: Any) -> Any:
        return self.activation(self.dense(values))


def test_an_activation_that_can_not_be_taken_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"in its configuration, got 'ending' without"):
        export_model(pooled(Ending()), tmp_path, labels=LABELS, preprocess="none")
