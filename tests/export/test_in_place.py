"""Check that maps lie over what they explain: nothing pads, crops, flips or turns on the way to the features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from export.anatomy import dissect
from export.errors import UnsupportedModelError
from export.in_place import unchecked
from export.servable import export_model

pytestmark = pytest.mark.tensorflow

layers = keras.layers
ops = keras.ops
Step = Callable[[Any], Any]
Bring = Callable[[Any, Any], tuple[Any, Any]]


@pytest.fixture(params=["as built", "from a file"])
def bring(request: pytest.FixtureRequest, tmp_path: Path) -> Bring:
    """Return what takes a network from image to output as it is, or saves and loads it: JSON has lists for tuples."""

    def from_file(image: Any, output: Any) -> tuple[Any, Any]:
        keras.Model(image, output).save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
        return model.input, model.output

    return from_file if request.param == "from a file" else lambda *tensors: tensors


def classifier(*steps: Step) -> tuple[Any, Any, Any]:
    """Return image, features and output of a network that does something to the image first."""
    image = keras.Input((16, 16, 3))
    values = image
    for step in steps:
        values = step(values)
    features = layers.Conv2D(4, 1, name="features")(values)
    return image, features, layers.Dense(2)(layers.GlobalAveragePooling2D()(features))


@pytest.mark.parametrize(
    "step",
    [
        layers.CenterCrop(12, 12, name="here"),
        layers.RandomCrop(12, 16, name="here"),
        layers.Cropping2D(2, name="here"),
        layers.Resizing(8, 12, crop_to_aspect_ratio=True, name="here"),
        layers.Resizing(12, 8, pad_to_aspect_ratio=True, name="here"),
        layers.Permute((2, 1, 3), name="here"),
        layers.Permute((2, 3, 1), name="here"),
        layers.ZeroPadding2D(((0, 0), (2, 2)), name="here"),
        layers.ZeroPadding2D(((1, 0), (0, 0)), name="here"),
    ],
    ids=[
        "centre crop", "random crop", "cropping", "crop to ratio", "pad to ratio", "transposed", "columns first",
        "letterbox", "one row",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "before", [lambda image: image, layers.Conv2D(5, 3, padding="same")], ids=["pixels", "features"]
)
def test_a_layer_that_moves_pixels_is_refused_by_name(
    step: Step, before: Step, bring: Bring
) -> None:
    image, _, output = classifier(before, step, layers.ReLU())
    with pytest.raises(UnsupportedModelError, match=r"inside, in 'here'; .*--resize crop"):
        dissect(*bring(image, output))


@pytest.mark.parametrize(
    "step",
    [
        lambda values: ops.flip(values, axis=1),
        lambda values: ops.flip(values, axis=(-2, -1)),
        ops.flip,
        lambda values: ops.swapaxes(values, 1, 2),
        lambda values: ops.transpose(values, (0, 2, 1, 3)),
        lambda values: ops.moveaxis(values, 1, 2),
        lambda values: ops.image.crop_images(values, 2, 2, target_height=8, target_width=8),
        lambda values: values[:, 2:],
        lambda values: values[..., :-2, :],
        lambda values: values[:, :, ::-1],
        lambda values: ops.moveaxis(ops.flip(ops.moveaxis(values, -1, 1), axis=2), 1, -1),
        lambda values: ops.rot90(values, axes=(1, 2)),
        lambda values: ops.roll(values, 4, axis=2),
        lambda values: ops.roll(values, 4),
        lambda values: layers.Concatenate(axis=1)(ops.split(values, 2, axis=1)[::-1]),
        lambda values: ops.split(values, [4, 12], axis=-2)[1],
        lambda values: ops.array_split(values, 3, axis=1)[0],
        lambda values: ops.concatenate([ops.zeros_like(values), values], axis=2),
    ],
    ids=[
        "flip", "flip of columns", "flip of all", "swapaxes", "transpose", "moveaxis", "crop", "rows cut",
        "columns cut", "columns backwards", "flip of channels first", "quarter turn", "roll", "roll of all",
        "halves swapped", "middle of three", "first of three", "side by side",
    ],
)  # fmt: skip
def test_an_operation_that_moves_pixels_is_refused(step: Step, bring: Bring) -> None:
    image, _, output = classifier(step)
    with pytest.raises(UnsupportedModelError, match="lie over the whole image, upright"):
        dissect(*bring(image, output))


@pytest.mark.parametrize(
    "steps",
    [
        [lambda values: ops.pad(values, ((0, 0), (2, 0), (0, 0), (0, 0)))],
        [lambda values: ops.image.pad_images(values, 0, 4, target_height=16, target_width=24)],
        [layers.ZeroPadding2D(2), layers.Conv2D(4, 3)],
        [layers.ZeroPadding2D(1), layers.Conv2D(4, (3, 1))],
        [layers.ZeroPadding2D(1), layers.Conv2D(4, 3, padding="same", strides=2)],
        [layers.ZeroPadding2D(1), layers.Conv2DTranspose(4, 3)],
        [layers.ZeroPadding2D(1), layers.MaxPooling2D(2)],
        [layers.ZeroPadding2D(1), layers.ReLU()],
        [layers.ZeroPadding2D(2), layers.Cropping2D(1)],
        [layers.ZeroPadding2D(2), lambda values: values[:, 1:-1]],
        [layers.ZeroPadding2D(1), lambda values: values[:, ::2, ::2]],
        [layers.ZeroPadding2D(1), layers.ZeroPadding2D(1), layers.Conv2D(4, 3)],
        [layers.ZeroPadding2D(1), layers.Resizing(9, 9)],
        [
            layers.ZeroPadding2D(1),
            lambda values: layers.Cropping2D(1)(values) + layers.Resizing(16, 16)(values),
        ],
    ],
    ids=[
        "pad", "pad_images", "window too small", "window too narrow", "window that pads itself", "window that grows",
        "pooling too small", "no window", "cropped too little", "sliced too little", "every other",
        "padded twice", "resized", "two readers",
    ],
)  # fmt: skip
def test_padding_that_is_not_taken_off_again_is_refused(steps: list[Step], bring: Bring) -> None:
    image, _, output = classifier(*steps)
    with pytest.raises(UnsupportedModelError, match=r"pads, .* inside, in '(zero_padding2d|pad)"):
        dissect(*bring(image, output))


def test_padding_just_before_the_pooling_is_refused() -> None:
    image, features, _ = classifier()
    padded = layers.ZeroPadding2D(1, name="here")(features)
    with pytest.raises(UnsupportedModelError, match="inside, in 'here'"):
        dissect(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(padded)))


def shifted(values: Any) -> Any:
    """Shift by a pixel, as NASNet does."""
    values = layers.ZeroPadding2D(((0, 1), (0, 1)))(values)
    return layers.Cropping2D(((1, 0), (1, 0)))(values)


def squeezed(values: Any) -> Any:
    """Weigh channels by what a crop of them says, as in an attention to channels."""
    weights = layers.Dense(3)(layers.GlobalAveragePooling2D()(values[:, 2:]))
    return values * layers.Reshape((1, 1, 3))(weights)


def attending(values: Any) -> Any:
    """Multiply rows with rows."""
    return ops.matmul(ops.matmul(values, ops.transpose(values, (0, 1, 3, 2))), values)


@pytest.mark.parametrize(
    "steps",
    [
        [layers.ZeroPadding2D(3), layers.Conv2D(4, 7, strides=2), layers.MaxPooling2D(3, 2)],
        [layers.ZeroPadding2D(((0, 1), (0, 1))), layers.DepthwiseConv2D(3, strides=2)],
        [layers.ZeroPadding2D(2), layers.SeparableConv2D(4, 3, dilation_rate=2)],
        [layers.ZeroPadding2D((0, 1)), layers.Conv2D(4, (1, 3))],
        [layers.ZeroPadding2D(1), layers.AveragePooling2D(3, 1)],
        [layers.ZeroPadding2D(1), layers.ReLU(), layers.Conv2D(4, 3)],
        [
            lambda values: ops.pad(values, ((0, 0), (1, 1), (2, 2), (0, 4))),
            lambda values: ops.max_pool(values, (3, 5), 1),
        ],
        [layers.ZeroPadding2D((2, 0)), layers.Permute((2, 1, 3)), layers.Conv2D(3, (1, 5)), layers.Permute((2, 1, 3))],
        [layers.ZeroPadding2D(2), lambda values: values[:, 2:-2, 4:]],
        [layers.CenterCrop(24, 24)],
        [lambda values: ops.concatenate([ops.roll(values, 1, axis=3), *ops.split(values, 3, axis=-1)], -1)],
        [layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomTranslation(0.1, 0.1)],
        [layers.RandomCrop(16, 16), layers.CenterCrop(16, 16)],
        [layers.Resizing(8, 8, crop_to_aspect_ratio=True), layers.Resizing(6, 12)],
        [layers.Permute((3, 1, 2)), layers.ReLU(), layers.Permute((2, 3, 1))],
        [layers.Permute((2, 1, 3)), layers.Conv2D(3, 1), layers.Permute((2, 1, 3))],
        [
            lambda values: ops.moveaxis(values, -1, 1),
            lambda values: ops.flip(values, axis=1),
            lambda values: ops.transpose(values, (0, 2, 3, 1)),
        ],
        [lambda values: values[..., ::-1], lambda values: ops.flip(values, axis=-1)],
        [lambda values: ops.concatenate([values[:, ::2, ::2], values[:, 1::2, 1::2]], axis=-1)],
        [lambda values: values[..., :1]],
        [shifted],
        [squeezed],
        [attending],
    ],
    ids=[
        "padding and strides", "one-sided padding and strides", "padding and dilation", "padding of columns",
        "padding and pooling", "padding before an activation", "keras.ops", "padding transposed", "padding sliced off",
        "crop that enlarges", "channels rolled and split", "augmentation", "crops of nothing", "resizing",
        "channels first and back",
        "transposed and back", "channels flipped", "colours backwards", "space to depth", "one channel", "shift",
        "channel attention", "row attention",
    ],
)  # fmt: skip
def test_what_leaves_pixels_where_they_are_is_taken(steps: list[Step], bring: Bring) -> None:
    image, _, output = classifier(*steps)
    assert dissect(*bring(image, output)).layer == "features"


@pytest.mark.parametrize(
    "name", ["DenseNet121", "EfficientNetB0", "MobileNetV2", "NASNetMobile", "ResNet50V2"]
)
def test_the_padding_of_keras_own_networks_is_taken(name: str) -> None:
    model = getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(75, 64, 3)
    )
    output = layers.Dense(2)(layers.GlobalAveragePooling2D()(model.output))
    assert dissect(model.input, output).features is model.output


class Mirrored(keras.layers.Layer):  # type: ignore[misc]
    """Turn columns around where only the layer knows."""

    def call(self, values: Any) -> Any:
        """Answer the mirror image."""
        return ops.flip(values, axis=2)


def test_layers_of_the_models_own_before_the_features_are_named_as_unchecked() -> None:
    image, features, _ = classifier(
        layers.Lambda(lambda values: values[:, :, ::-1], name="first"),
        layers.RandomFlip(),
        Mirrored(name="second"),
    )
    behind = Mirrored(name="behind")(features)
    output = layers.Dense(2)(layers.GlobalAveragePooling2D()(behind))
    assert unchecked(dissect(image, output, "features").features) == ["first", "second"]


def test_unchecked_layers_are_told_of_at_the_export(tmp_path: Path) -> None:
    told: list[str] = []
    for steps in ([Mirrored(name="own")], []):
        image, _, output = classifier(*steps)
        model = keras.Model(image, output)
        asked: Any = {"labels": ("first", "second"), "preprocess": "rescale", "batch_sizes": (1,)}
        export_model(model, tmp_path, report=told.append, **asked)
    assert [each for each in told if "be checked" in each] == [
        "Taking it that layers of the model's own neither pad, crop, flip nor turn images, which can't be checked: "
        "['own']"
    ]


def test_what_moves_features_behind_those_explained_is_taken() -> None:
    image, features, _ = classifier()
    turned = layers.Permute((2, 1, 3))(layers.Cropping2D(4)(features))
    output = layers.Dense(2)(layers.GlobalAveragePooling2D()(turned))
    assert dissect(image, output, "features").features is features
