"""Check that pixels are normalised once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from export.errors import ExportError, UnsupportedModelError
from export.load import load_model
from export.loaders import session_loader
from export.preprocess import Preprocessing, preprocess, settle_preprocessing
from export.probes import probe_images
from export.servable import export_model
from tests.support.model_shapes import LABELS, MEAN, SHAPES, functional

pytestmark = pytest.mark.tensorflow

layers = keras.layers


class Scale(keras.layers.Layer):  # type: ignore[misc]  # Keras comes without types
    """Scale as Rescaling does, under another name."""

    def call(self, values: Any) -> Any:
        return values / 255.0


OWN = {
    "rescaling": layers.Rescaling(1 / 255),
    "after augmentation": keras.Sequential([layers.RandomFlip(), layers.Rescaling(1 / 127.5, -1)]),
    "normalization": layers.Normalization(mean=120.0, variance=900.0),
    "division": lambda image: image / 127.5 - 1.0,
    "subtraction": lambda image: image - 127.0,
    "vgg16's": keras.applications.vgg16.preprocess_input,  # colours in reverse, minus their means
    "multiplication": lambda image: keras.ops.multiply(image, 1 / 255),
    "division without NaN": lambda image: keras.ops.divide_no_nan(image, 255.0),
    "lambda": layers.Lambda(lambda image: image / 255.0),
    "own layer": Scale(),
}


@pytest.mark.parametrize("name", OWN)
def test_a_model_that_normalises_pixels_itself_is_refused_until_somebody_says_what_it_expects(
    name: str, tmp_path: Path
) -> None:
    before: Any = OWN[name]
    model = functional(MEAN(), layers.Dense(len(LABELS)), "sigmoid", before=before).model
    with pytest.raises(UnsupportedModelError, match="pass --preprocess none"):
        export_model(model, tmp_path, labels=LABELS)
    assert export_model(model, tmp_path, labels=LABELS, preprocess="none").name == "1"


def taking_integers(dtype: str) -> keras.Model:
    image = keras.Input((8, 8, 3), dtype=dtype, name="bytes")
    features = layers.Conv2D(4, 3, activation="relu")(keras.ops.cast(image, "float32"))
    pooled = layers.GlobalAveragePooling2D()(features)
    return keras.Model(image, layers.Dense(len(LABELS), activation="sigmoid")(pooled))


def around(inner: keras.Model) -> keras.Model:
    """Build a model whose own input is float32, and rounded inside."""
    return keras.Sequential([keras.Input((8, 8, 3)), inner])


@pytest.mark.parametrize("asked", [None, "densenet", "rescale"])
@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        (taking_integers("uint8"), "uint8"),
        (taking_integers("int32"), "int32"),
        (around(taking_integers("uint8")), "uint8"),
    ],
)
def test_a_model_that_takes_integers_takes_pixels_as_they_are(
    model: keras.Model, dtype: str, asked: Preprocessing | None, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    with pytest.raises(
        UnsupportedModelError,
        match=rf"\({dtype}, in its input 'bytes'\).* got {asked or 'none named'}; pass --preprocess none",
    ):
        export_model(loaded, tmp_path, labels=LABELS, preprocess=asked)
    version = export_model(loaded, tmp_path, labels=LABELS, preprocess="none")
    images = probe_images(2, 8, 8)
    with session_loader(version) as call:
        answer = call("gradcam", {"image": images})
    expected = model(np.repeat(images, 3, -1))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "after",
    [
        layers.Rescaling(0.5),
        layers.Normalization(mean=0, variance=4),
        layers.Lambda(lambda values: values / 2),
        Scale(),
    ],
)
@pytest.mark.parametrize("frozen", [True, False])
def test_what_normalises_features_is_nobodys_preprocessing(
    after: Callable[[Any], Any], frozen: bool
) -> None:
    image = keras.Input((8, 8, 3))
    first = layers.Conv2D(4, 3)
    features = after(first(image))
    first.trainable = not frozen
    assert settle_preprocessing(None, features) == "densenet"


@pytest.mark.parametrize("name", ["functional, mean, dense, sigmoid", "an application"])
def test_other_models_have_densenets_preprocessing(name: str) -> None:
    assert settle_preprocessing(None, SHAPES[name]().model.output) == "densenet"


def test_an_unknown_preprocessing_is_refused_with_those_there_are(tmp_path: Path) -> None:
    unknown: Any = "torch"
    with pytest.raises(ExportError, match="densenet, rescale, none, got 'torch'"):
        preprocess(tf.zeros((1, 8, 8, 1), tf.uint8), unknown, 3)
    model = functional(MEAN(), layers.Dense(len(LABELS)), "sigmoid").model
    with pytest.raises(ExportError, match="densenet, rescale, none, got 'torch'"):
        export_model(model, tmp_path, labels=LABELS, preprocess=unknown)
