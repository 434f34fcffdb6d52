"""Make a servable of a Keras model: build, verify, publish."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from export.anatomy import dissect
from export.assumption import require_logits
from export.describe import architecture, weights_digest
from export.errors import ExportError, UnsupportedModelError
from export.flatten import flatten
from export.graph import build_graph
from export.in_place import unchecked
from export.labels import check_count, check_heatmaps, check_no_finding
from export.maps import head_bias
from export.optimize.passes import Precision, optimize
from export.policy import integer_input, require_float32
from export.preprocess import IN_WORDS, Preprocessing, settle_preprocessing
from export.publish import aside, publish
from export.radiographs import read_radiographs
from export.reference import Reference
from export.saved_model import write_saved_model
from export.verify import BOUNDS, in_words, verify
from export.warmup import check_batch_sizes, write_warmup
from serving.contract import (
    DEFAULT_LABELS,
    MODEL_NAME,
    Activation,
    ContractError,
    ModelCard,
    ResizeMode,
    WeightsOrigin,
)

DEFAULT_BATCH_SIZES = (1, 2, 3, 4, 5, 6, 7, 8)


def export_model(  # noqa: PLR0913  # every option of the command has a default here
    model: keras.Model,
    output: Path,
    *,
    labels: Sequence[str] = DEFAULT_LABELS,
    preprocess: Preprocessing | None = None,
    name: str = MODEL_NAME,
    weights: WeightsOrigin = "user",
    thresholds: Sequence[float] | None = None,
    warnings: Sequence[str] = (),
    resize: ResizeMode = "squash",
    training_data: str = "unknown",
    derived: dict[str, str] | None = None,
    details: dict[str, Any] | None = None,
    input_size: tuple[int, int] | None = None,
    target_layer: str | None = None,
    activation: Activation | None = None,
    precision: Precision = "float32",
    radiographs: Path | None = None,
    batch_sizes: Sequence[int] = DEFAULT_BATCH_SIZES,
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """Export a Keras classifier as the next version of a servable.

    Args:
        model: A classifier of one image, ``[N, H, W, 1 or 3]`` to ``[N, labels]``.
        output: The model's folder, ``models/densenet``.
        labels: Class names in the order of the outputs.
        preprocess: What happens to the pixels before the network sees them; ``densenet`` by default, but to be named
            for a network that normalises them itself, and ``none`` for one that takes integers.
        name: Name that the model is served under.
        weights: Where the weights come from.
        thresholds: Operating point per label; 0.5 each by default.
        warnings: Sentences that every report repeats.
        resize: How callers bring radiographs to the input's size.
        training_data: What the weights were trained on, in words.
        derived: Labels that follow from a rule, with the rule in words.
        details: Anything else that the card should keep.
        input_size: Height and width, for a model that leaves them open.
        target_layer: Layer to explain; by default the one that feeds the pooling.
        activation: How probabilities follow, for a model that ends in logits; sigmoid by default.
        precision: What the network computes in up to its features; ``bfloat16`` must pass a gate on accuracy.
        radiographs: Folder of images to verify on, beside synthetic ones.
        batch_sizes: Batch sizes that will be served, for the warm-up requests.
        report: Called with a sentence as each step begins.

    Returns:
        The version's directory, ``models/densenet/1``.

    Raises:
        ExportError: The model cannot be exported, or the servable does not answer as the model does; nothing was
            published.
    """
    check_no_finding(labels)
    check_heatmaps(labels)
    check_batch_sizes(batch_sizes)
    report("Reading the network's structure")
    require_float32(model)
    image = keras.Input(_input_shape(model, input_size), name="pixels")
    anatomy = dissect(image, flatten(model, image), target_layer, activation)
    check_count(labels, anatomy.logits.shape[-1])
    if own := unchecked(anatomy.features):
        report(
            "Taking it that layers of the model's own neither pad, crop, flip nor turn images, which can't be checked: "
            f"{own}"
        )
    preprocessing = settle_preprocessing(preprocess, anatomy.logits, integer_input(model))
    reference = Reference(model, anatomy, preprocessing)
    if activation is None:
        require_logits(anatomy, reference.output)
    report(f"Building the graph; maps explain layer {anatomy.layer!r}")
    try:
        card = ModelCard(
            name=name,
            labels=tuple(labels),
            thresholds=tuple(thresholds or [0.5] * len(labels)),
            input_height=image.shape[1],
            input_width=image.shape[2],
            resize=resize,
            preprocessing=IN_WORDS[preprocessing],
            architecture=architecture(model, anatomy),
            activation=anatomy.activation,
            target_layer=anatomy.layer,
            map_height=anatomy.features.shape[1],
            map_width=anatomy.features.shape[2],
            weights=weights,
            weights_sha256=weights_digest(model),
            training_data=training_data,
            warnings=tuple(warnings),
            derived=derived or {},
            details={"precision": precision, **(details or {})},
        )
    except ContractError as err:
        raise ExportError(f"{err}; correct the options, or the card file beside the model") from err
    images = None if radiographs is None else read_radiographs(radiographs, card)
    graph = optimize(build_graph(anatomy, preprocessing), precision)
    with aside(output) as directory:
        report("Writing the SavedModel")
        write_saved_model(graph, card, directory)
        report("Verifying against Keras, through both loaders")
        figures = verify(
            directory,
            card,
            reference,
            bias=head_bias(anatomy),
            bounds=BOUNDS[precision],
            radiographs=images,
        )
        report(in_words(figures))
        card = replace(card, verification=figures)
        write_saved_model(graph, card, directory)
        write_warmup(directory, card, batch_sizes)
        version = publish(directory, output)
    report(f"Published {version}")
    return version


def _input_shape(model: keras.Model, input_size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Settle height, width and channels of a model's input."""
    shape = _known_shape(model) or (None, None, None, 3)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        raise UnsupportedModelError(
            f"expected a model with one input [N, height, width, 1 or 3 channels], got {shape}; "
            "export a model that takes the image alone, channels last"
        )
    size: tuple[Any, ...] = input_size or shape[1:3]
    if None in size:
        raise UnsupportedModelError(
            f"expected a model with a fixed input size, got {shape}; name it with --input-size, such as 224x224"
        )
    if any(own not in (None, given) for own, given in zip(shape[1:3], size, strict=True)):
        raise UnsupportedModelError(
            f"expected --input-size to be the model's own {shape[1]}x{shape[2]}, got {size[0]}x{size[1]}; leave it out"
        )
    return int(size[0]), int(size[1]), int(shape[3])


def _known_shape(model: keras.Model) -> Any:
    """Return the shape that a model was built for; a subclassed one remembers that of its first call."""
    if isinstance(model, keras.Function | keras.Sequential) and model.built:
        return model.input_shape
    config: dict[str, Any] = model.get_build_config() or {}
    shape = config.get("input_shape")
    return tuple(shape) if shape else None
