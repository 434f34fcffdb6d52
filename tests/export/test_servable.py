"""Check that what is published answers as the model does, whatever the model's shape."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export.anatomy import Anatomy, dissect
from export.errors import ExportError, UnsupportedModelError, VerificationError
from export.flatten import flatten
from export.loaders import eager_loader, session_loader
from export.maps import MapFunction, map_function
from export.preprocess import Preprocessing
from export.probes import probe_images
from export.servable import export_model
from serving.contract import ModelCard
from tests.support.model_shapes import LABELS, OWN_SCALE, SHAPES, build, tape_maps
from tests.support.tiny_models import PLANTED_LABELS, planted_model, small_model

pytestmark = pytest.mark.tensorflow

INVARIANT = "layer normalisation after the mean"


def describe(version: Path) -> ModelCard:
    with session_loader(version) as call:
        return ModelCard.from_json(call("describe", {"request": np.zeros(1, np.int32)})["card"][0])


def _two_outputs() -> keras.Model:
    model = small_model()
    return keras.Model(model.input, [model.output, model.get_layer("pooling").output])


def _ends_with(activation: str) -> keras.Model:
    model = small_model()
    return keras.Model(
        model.input, keras.layers.Activation(activation)(model.get_layer("labels").output)
    )


def _channels_first() -> keras.Model:
    image = keras.Input((8, 8, 3))
    values = keras.layers.Permute((3, 1, 2))(image)
    values = keras.layers.Conv2D(4, 3, data_format="channels_first")(values)
    pooled = keras.layers.GlobalAveragePooling2D(data_format="channels_first", name="odd")(values)
    return keras.Model(image, keras.layers.Dense(15)(pooled))


def _open_size() -> keras.Model:
    image = keras.Input((None, None, 3))
    values = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    return keras.Model(image, keras.layers.Dense(15)(keras.layers.GlobalAveragePooling2D()(values)))


@pytest.mark.parametrize("name", SHAPES)
def test_maps_equal_those_of_a_tape_over_the_whole_network(name: str, tmp_path: Path) -> None:
    shape = build(name)
    kind: Preprocessing = "none" if name in OWN_SCALE else "rescale"
    version = export_model(shape.model, tmp_path, labels=LABELS, preprocess=kind)
    height, width, channels = shape.trunk.input_shape[1:]
    images = probe_images(3, height, width, seed=11)
    pixels = np.repeat(images.astype(np.float32), channels, -1) / (1 if kind == "none" else 255)
    expected = tape_maps(shape, pixels)
    with session_loader(version) as call:
        answer = call("gradcam", {"image": images})
        plain = call("serving_default", {"image": images})

    assert answer["activation_maps"].shape == expected.shape
    scale = np.abs(expected).max(axis=(1, 2, 3), keepdims=True)
    assert scale.min() > 1e-3
    np.testing.assert_array_less(np.abs(answer["activation_maps"] - expected) / scale, 1e-4)
    output = np.asarray(*keras.tree.flatten(shape.model(pixels, training=False)))
    if "logits" in name:
        np.testing.assert_allclose(answer["logits"], output, rtol=1e-4, atol=1e-4)
        output = 1 / (1 + np.exp(-output))
    np.testing.assert_allclose(answer["probabilities"], output, atol=1e-5)
    np.testing.assert_allclose(plain["probabilities"], output, atol=1e-5)


def test_a_planted_blob_is_hot_where_it_was_planted(tmp_path: Path) -> None:
    version = export_model(
        planted_model(), tmp_path, labels=PLANTED_LABELS, preprocess="rescale", batch_sizes=(1,)
    )
    images = np.full((2, 96, 128, 1), 128, np.uint8)
    images[0, 32:48, 80:96] = 255
    images[1, 0:16, 112:128] = 0
    expected = np.zeros((2, 3, 6, 8), np.float32)
    expected[0, 0, 2, 5] = expected[0, 2, 2, 5] = 10
    expected[1, 1, 0, 7] = 10
    expected[1, 2, 0, 7] = -10
    logits = [[10 / 48 - 1, -1, 10 / 48], [-1, 10 / 48 - 1, -10 / 48]]
    for loader in (session_loader, eager_loader):
        with loader(version) as call:
            answer = call("gradcam", {"image": images})
        np.testing.assert_allclose(answer["activation_maps"], expected, atol=1e-4)
        np.testing.assert_allclose(answer["logits"], logits, atol=1e-5)


def test_the_card_names_labels_target_layer_and_figures(tmp_path: Path) -> None:
    version = export_model(small_model(), tmp_path, warnings=("Made up.",), thresholds=[0.3] * 15)
    card = describe(version)

    assert version == tmp_path / "1"
    assert card.target_layer == "relu"
    assert (card.map_height, card.map_width) == (8, 8)
    assert card.labels[0] == "Atelectasis"
    assert card.thresholds == (0.3,) * 15
    assert card.warnings == ("Made up.",)
    assert card.verification["images"] == 11
    figures = card.verification["differences_at_most"]
    assert figures == dict.fromkeys(("batch", "logit_from_map", "map", "probability"), 1e-5)
    assert card.verification["map_correlation_at_least"] >= 0.999
    assert card.verification["findings_that_changed_sides"] == 0


def test_radiographs_are_verified_on_as_well(tmp_path: Path) -> None:
    Image.fromarray(probe_images(1, 50, 40)[0, :, :, 0]).save(tmp_path / "one.png")
    card = describe(
        export_model(small_model(), tmp_path / "out", resize="crop", radiographs=tmp_path)
    )
    assert (card.verification["images"], card.verification["radiographs"]) == (12, 1)


def test_a_saturated_sigmoid_still_explains_itself(tmp_path: Path) -> None:
    model = planted_model()
    kernel, bias = model.get_layer("labels").get_weights()
    model.get_layer("labels").set_weights([kernel * 1000, bias + 500])
    version = export_model(model, tmp_path, labels=PLANTED_LABELS, preprocess="rescale")
    image = np.full((1, 96, 128, 1), 128, np.uint8)
    image[0, 32:48, 80:96] = 255
    with session_loader(version) as call:
        answer = call("gradcam", {"image": image})

    assert answer["probabilities"][0, 0] == 1
    assert answer["activation_maps"][0, 0, 2, 5] == pytest.approx(10000, rel=1e-4)


def test_a_count_of_labels_that_does_not_match_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has 15 outputs, got 2 labels"):
        export_model(small_model(), tmp_path, labels=("one", "two"))
    assert not list(tmp_path.iterdir())


def test_no_finding_in_another_spelling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="write 'No Finding'"):
        export_model(small_model(outputs=2), tmp_path, labels=("Mass", "No_Finding"))


def test_a_label_that_cannot_be_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="got 'Positive': positive, all, none are keywords"):
        export_model(small_model(outputs=2), tmp_path, labels=("Negative", "Positive"))


def test_the_wrong_layer_is_refused_because_the_image_goes_around_it(tmp_path: Path) -> None:
    shape = build("functional, mean, dense, sigmoid")
    inner = [layer.name for layer in shape.model.layers if isinstance(layer, keras.layers.Conv2D)][
        1
    ]
    with pytest.raises(
        UnsupportedModelError,
        match=r"which a connection goes around; name 'features' with --target-layer$",
    ):
        export_model(shape.model, tmp_path, labels=LABELS, target_layer=inner)


def test_an_unknown_layer_is_refused_with_names_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"got 'nope'; the last ones are \['relu'"):
        export_model(small_model(), tmp_path, target_layer="nope")


def test_a_layer_that_moves_channels_to_the_front_has_no_map_of_its_own(tmp_path: Path) -> None:
    model = build("functional, channels first, flatten, dense").model
    (moving,) = [
        layer.name for layer in model._flatten_layers() if isinstance(layer, keras.layers.Permute)
    ]
    with pytest.raises(UnsupportedModelError, match=r"the last ones are \['features'"):
        export_model(model, tmp_path, labels=LABELS, target_layer=moving)


def test_a_target_layer_that_is_called_several_times_is_refused() -> None:
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    shared = layers.ReLU(name="shared")
    first = shared(layers.Conv2D(4, 3, name="once")(image))
    values = shared(layers.Conv2D(4, 3)(first))
    output = layers.Dense(2)(layers.GlobalAveragePooling2D()(values))
    with pytest.raises(UnsupportedModelError, match="'shared', which is called 2 times; leave out"):
        dissect(image, output, "shared")
    assert dissect(image, output, "once").features.shape == (None, 6, 6, 4)
    assert dissect(image, output).features is values


def test_another_target_layer_gives_its_own_maps(tmp_path: Path) -> None:
    version = export_model(small_model(), tmp_path, target_layer="relu1")
    assert describe(version).target_layer == "relu1"
    assert describe(version).map_height == 16


def test_features_that_are_not_connected_are_refused() -> None:
    image = keras.Input((8, 8, 1))
    constant = keras.layers.Dense(2)(keras.ops.mean(image, axis=(1, 2)))
    with pytest.raises(UnsupportedModelError, match="expected one feature tensor"):
        dissect(image, constant)


def test_features_made_of_a_vector_are_refused_as_they_have_no_rows_of_the_image() -> None:
    layers = keras.layers
    image = keras.Input((32, 32, 1))
    values = layers.Conv2D(16, 3, name="seen")(image)
    vector = layers.GlobalAveragePooling2D()(values)
    blind = layers.Conv2D(8, 1, name="blind")(layers.Reshape((4, 4, 1))(vector))
    gated = layers.Multiply(name="gated")(
        [values, layers.Reshape((30, 30, 1))(layers.Dense(900)(vector))]
    )
    outputs = [layers.Dense(2)(layers.Flatten()(each)) for each in (blind, gated)]

    with pytest.raises(
        UnsupportedModelError,
        match=r"got those of 'blind', behind a vector.*; name 'seen' with --target-layer$",
    ):
        dissect(image, outputs[0])
    assert dissect(image, outputs[0], "seen").layer == "seen"
    assert dissect(image, outputs[1]).layer == "gated"


def seen_twice() -> tuple[Any, Any]:
    """Return image and output of a network that averages its answers to the image and to its mirror image."""
    network = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, name="seen"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    image = keras.Input((8, 8, 1))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    views = [scaled, keras.ops.flip(scaled, axis=2)]
    return image, keras.layers.Average()([flatten(network, view) for view in views])


def ensemble() -> tuple[Any, Any]:
    """Return image and output of two networks whose answers are averaged."""
    layers = keras.layers
    image = keras.Input((8, 8, 1))
    scaled = layers.Rescaling(1 / 255)(image)
    maps = [layers.Conv2D(4, 3, name=name)(scaled) for name in ("one", "other")]
    answers = [layers.Dense(2)(layers.GlobalAveragePooling2D()(each)) for each in maps]
    return image, layers.Average()(answers)


@pytest.mark.parametrize(
    ("build_it", "target", "got"),
    [
        (seen_twice, None, r"got \['seen', 'seen'\]"),
        (ensemble, None, r"got \['one', 'other'\]"),
        (ensemble, "one", "got 'one', which a connection goes around"),
    ],
)
def test_a_model_of_several_networks_or_views_is_refused_without_a_layer_to_name(
    build_it: Callable[[], tuple[Any, Any]], target: str | None, got: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{got}; a model that joins .*export one of"):
        dissect(*build_it(), target)


def test_a_model_that_pools_several_layers_is_refused_with_the_one_that_all_pass_through() -> None:
    layers = keras.layers
    image = keras.Input((16, 16, 1))
    stem = layers.Conv2D(4, 3, name="stem")(layers.Rescaling(1 / 255)(image))
    ends = [stem, layers.Conv2D(4, 3, strides=2, name="deep")(stem)]
    output = layers.Dense(2)(
        layers.Concatenate()([layers.GlobalAveragePooling2D()(each) for each in ends])
    )
    with pytest.raises(
        UnsupportedModelError, match=r"got \['deep', 'stem'\]; name 'stem' with --target-layer$"
    ):
        dissect(image, output)
    assert dissect(image, output, "stem").features is stem


def test_a_model_without_convolutions_is_refused_without_a_layer_to_name() -> None:
    image = keras.Input((8, 8, 1))
    output = keras.layers.Dense(2)(keras.layers.Flatten()(image))
    with pytest.raises(UnsupportedModelError, match="; a model has maps only where a convolution"):
        dissect(image, output)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: keras.Sequential([keras.Input((9,)), keras.layers.Dense(15)]), "one input"),
        (lambda: keras.Model([a := keras.Input((8, 8, 1)), b := keras.Input((2,))], [a, b]), "one input"),
        (_two_outputs, "one output"),
        (lambda: _ends_with("relu"), "sigmoid, softmax and linear, got 'relu'"),
        (lambda: small_model(channels=4), "1 or 3 channels"),
        (_open_size, "--input-size"),
        (_channels_first, "data_format='channels_first' in layer 'odd'"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused_with_the_reason(
    model: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        export_model(model(), tmp_path)


def test_a_model_of_open_size_is_exported_at_the_size_asked_for(tmp_path: Path) -> None:
    card = describe(export_model(_open_size(), tmp_path, input_size=(40, 48)))
    assert (card.input_height, card.input_width, card.map_height, card.map_width) == (
        40,
        48,
        20,
        24,
    )


def test_a_servable_that_differs_from_its_model_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flatten_something_else(_: Any, image: Any) -> Any:
        return flatten(small_model(seed=2), image)

    monkeypatch.setattr("export.servable.flatten", flatten_something_else)
    with pytest.raises(VerificationError, match=r"expected probabilities within 0\.0001"):
        export_model(small_model(seed=1), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", ["functional, mean, dense, sigmoid", INVARIANT])
@pytest.mark.parametrize("wrong", [lambda maps: 1.001 * maps, lambda maps: maps[..., ::-1]])
def test_maps_of_a_slightly_or_entirely_wrong_gradient_are_not_published(
    shape: str, wrong: Callable[[Any], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def maps_of(anatomy: Anatomy) -> MapFunction:
        right = map_function(anatomy)
        return lambda features, source: wrong(right(features, source))

    monkeypatch.setattr("export.graph.map_function", maps_of)
    with pytest.raises(VerificationError, match="expected activation maps"):
        export_model(build(shape).model, tmp_path, labels=LABELS, preprocess="rescale")


def test_a_gradient_that_forgets_the_normalisation_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(INVARIANT).model
    kernel = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense)).kernel

    def maps_of(_: Anatomy) -> MapFunction:
        return lambda features, _: tf.einsum("nhwc,cl->nlhw", features, kernel)

    monkeypatch.setattr("export.graph.map_function", maps_of)
    with pytest.raises(VerificationError, match="expected activation maps"):
        export_model(model, tmp_path, labels=LABELS, preprocess="rescale")


def test_a_model_that_divides_by_zero_is_not_published(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 1))
    values = keras.layers.Conv2D(2, 1)(image / keras.ops.std(image, axis=(1, 2, 3), keepdims=True))
    output = keras.layers.Dense(15)(keras.layers.GlobalAveragePooling2D()(values))
    with pytest.raises(VerificationError, match="NaN or infinity"):
        export_model(keras.Model(image, output), tmp_path, preprocess="rescale")


def test_a_wrong_rank_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    version = export_model(small_model(), tmp_path)
    with session_loader(version) as call, pytest.raises(Exception, match=r"[Ss]hape|rank"):
        call("gradcam", {"image": np.zeros((32, 32), np.uint8)})


def test_one_graph_holds_the_weights_once(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)), keras.layers.Conv2D(400, 3), keras.layers.Conv2D(400, 3),
            keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(15),
        ]
    )  # fmt: skip
    version = export_model(model, tmp_path, preprocess="none")
    size = (version / "saved_model.pb").stat().st_size
    assert size < 1.05 * 4 * model.count_params() + 50_000


def test_the_card_is_canonical_json(tmp_path: Path) -> None:
    card = describe(export_model(small_model(), tmp_path))
    assert json.loads(card.to_json())["details"] == {"precision": "float32"}
