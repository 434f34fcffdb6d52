"""Check that pixels are normalised once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

from export.errors import ExportError, UnsupportedModelError
from export.preprocess import preprocess, settle_preprocessing
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
