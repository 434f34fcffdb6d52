"""Check how a network is put into words."""

import keras
import pytest

from export.anatomy import dissect
from export.describe import architecture
from export.flatten import flatten
from tests.support.model_shapes import LABELS, SIZE, backbone

pytestmark = pytest.mark.tensorflow

layers = keras.layers


def words(model: keras.Model) -> str:
    image = keras.Input((SIZE, SIZE, 3))
    return architecture(model, dissect(image, flatten(model, image)))


def augmented(trunk: list[keras.Layer], name: str) -> keras.Model:
    augmentation = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)])
    head = [layers.GlobalAveragePooling2D(), layers.Dense(len(LABELS), activation="sigmoid")]
    return keras.Sequential([keras.Input((SIZE, SIZE, 3)), augmentation, *trunk, *head], name=name)


def test_the_nested_model_that_holds_most_of_the_weights_is_the_backbone() -> None:
    assert words(augmented([backbone(name="chest_net_3")], "whole")).startswith("chest_net, global")


def test_an_augmentation_block_is_no_backbone() -> None:
    trunk = [layers.Conv2D(8, 3), layers.ReLU()]
    assert words(augmented(trunk, "whole")).startswith("whole, global average pooling, affine head")
