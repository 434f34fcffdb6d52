"""Check that models are laid out with all that is inside, and names which nested models share told apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from export.errors import UnsupportedModelError
from export.loaders import session_loader
from export.probes import probe_images
from export.servable import export_model
from tests.support.model_shapes import LABELS, SIZE

pytestmark = pytest.mark.tensorflow

layers = keras.layers


def block(filters: int) -> keras.Model:
    return keras.Sequential(
        [
            layers.Conv2D(filters, 3, strides=2, padding="same", name="conv"),
            layers.ReLU(name="relu"),
        ]
    )


def head() -> list[keras.Layer]:
    return [layers.GlobalAveragePooling2D(), layers.Dense(len(LABELS), activation="sigmoid")]


def blocks_alike() -> keras.Model:
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), block(8), block(6), *head()])


def backbone_of_another_process() -> keras.Model:
    """Build a head whose automatic names are those that the backbone was saved with."""
    image = keras.Input((SIZE, SIZE, 3))
    trunk = keras.Model(image, layers.Conv2D(8, 3, strides=2, name="conv2d")(image))
    return keras.Sequential([trunk, layers.Conv2D(6, 3, name="conv2d"), *head()])


class Alike(keras.Model):  # type: ignore[misc]
    """Call two layers of one name from Python."""

    def __init__(self) -> None:
        super().__init__()
        self.all = [layers.Conv2D(width, 3, name="conv") for width in (8, 6)] + head()

    def call(self, image: Any) -> Any:
        """Answer probabilities, ``[N, L]``."""
        for layer in self.all:
            image = layer(image)
        return image


def subclassed() -> keras.Model:
    model = Alike()
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


def require_same_answers(model: keras.Model, tmp_path: Path) -> None:
    """Export a model and compare what is served with what it answers itself."""
    version = export_model(model, tmp_path, labels=LABELS, preprocess="rescale", batch_sizes=(1,))
    images = probe_images(2, SIZE, SIZE)
    with session_loader(version) as call:
        answer = call("gradcam", {"image": images})
    pixels = np.repeat(images.astype(np.float32), 3, -1) / 255
    expected = model(pixels, training=False)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize("build", [blocks_alike, backbone_of_another_process, subclassed])
def test_layers_of_one_name_are_exported(build: Callable[[], Any], tmp_path: Path) -> None:
    require_same_answers(build(), tmp_path)


def test_a_target_layer_whose_name_several_share_is_refused_with_names_that_tell(
    tmp_path: Path,
) -> None:
    asked: Any = {"labels": LABELS, "preprocess": "rescale"}
    with pytest.raises(UnsupportedModelError, match=r"got 'relu'.*\['relu_1', 'relu_2'\]"):
        export_model(blocks_alike(), tmp_path, target_layer="relu", **asked)
    version = export_model(blocks_alike(), tmp_path, target_layer="relu_1", **asked)
    with session_loader(version) as call:
        maps = call("gradcam", {"image": probe_images(1, SIZE, SIZE)})["activation_maps"]
    assert maps.shape[2:] == (SIZE // 2, SIZE // 2)


def test_a_number_that_is_taken_is_left_out(tmp_path: Path) -> None:
    model = blocks_alike()
    model.layers[0].layers[0].name = "relu_1"
    with pytest.raises(UnsupportedModelError, match=r"\['relu_1', 'relu_2', 'relu_3'\]"):
        export_model(model, tmp_path, labels=LABELS, preprocess="rescale", target_layer="relu")


def behind(*steps: keras.Layer) -> keras.Model:
    """Build a model that does something to the image first."""
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), *steps, layers.Conv2D(6, 3), *head()])


def test_the_layers_of_a_pipeline_are_exported(tmp_path: Path) -> None:
    inner = layers.Pipeline([layers.RandomFlip(), layers.Rescaling(2.0, -1.0)])
    model = behind(layers.Pipeline([inner, block(8), layers.Dropout(0.5)]))
    with pytest.raises(UnsupportedModelError, match="normalises pixels itself"):
        export_model(model, tmp_path, labels=LABELS)
    require_same_answers(model, tmp_path)


@pytest.mark.parametrize(
    "steps",
    [
        [layers.CenterCrop(16, 16, name="here"), layers.Rescaling(2.0)],
        [layers.RandomFlip(), layers.RandomCrop(16, 16, name="here")],
    ],
    ids=["centre crop", "random crop"],
)
def test_a_pipeline_that_moves_pixels_is_refused(steps: list[keras.Layer], tmp_path: Path) -> None:
    model = behind(layers.Pipeline(steps))
    with pytest.raises(UnsupportedModelError, match="inside, in 'here'"):
        export_model(model, tmp_path, labels=LABELS, preprocess="rescale")


@pytest.mark.parametrize(
    "layer",
    [
        layers.MixUp(),
        layers.RandomColorDegeneration(0.5),
        layers.RandomGrayscale(1.0),
        layers.RandomHue(0.5),
        layers.RandomPosterization(2),
        layers.RandomSaturation(0.9),
        layers.RandomSharpness(0.9),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_augmentation_that_draws_at_inference_is_left_out(
    layer: keras.Layer, tmp_path: Path
) -> None:
    require_same_answers(behind(layer), tmp_path)


class Inverted(keras.layers.RandomHue):  # type: ignore[misc]
    """Do something at inference, other than what it is derived from."""

    def call(self, data: Any) -> Any:
        """Answer the negative."""
        return 1 - data


def test_a_layer_derived_from_augmentation_is_exported(tmp_path: Path) -> None:
    require_same_answers(behind(Inverted(0.5)), tmp_path)
