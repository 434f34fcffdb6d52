"""Find by structure what Grad-CAM needs to know of a network: features, pooling, head, logits."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import keras

from export.activation import split_activation
from export.calls import activation_of, behind, between, call_of, inputs_of, kind_of
from export.errors import UnsupportedModelError
from export.in_place import require_in_place
from export.preprocess import learns
from serving.contract import Activation

Pooling = Literal["mean", "max", "flatten", "other"]

# Operations that are affine at inference: a head made of these alone has a constant gradient.
_AFFINE = {
    "AlphaDropout", "BatchNormalization", "Cast", "Conv2D", "Dense", "Dropout", "ExpandDims", "Flatten",
    "GaussianDropout", "GaussianNoise", "Identity", "Moveaxis", "Normalization", "Permute", "Rescaling", "Reshape",
    "SpatialDropout2D", "Squeeze", "Swapaxes", "Transpose",
}  # fmt: skip
# What may give [N, h, w, channels] other axes: networks ported from PyTorch flatten with the channels first.
_REARRANGING = {"Moveaxis", "Permute", "Reshape", "Swapaxes", "Transpose"}

# What to do where no layer can be explained.
_SEVERAL = (
    "a model that joins several networks or views can't be explained by one map: export one of them"
)
_NONE = "a model has maps only where a convolution sees the image's rows and columns"


@dataclass(frozen=True)
class Anatomy:
    """Name the tensors of a flat graph that Grad-CAM is about.

    Attributes:
        image: Symbolic input ``[N, H, W, C]``.
        features: The tensor that feeds the pooling, ``[N, h, w, C']``.
        layer: Name of the layer that makes it.
        logits: Output before its activation, ``[N, L]``.
        pooled: What the pooling makes of the features, where one mean or max pooling is all there is.
        pooling: How the features become a vector.
        affine: Whether the head is affine after the pooling, so that its gradient is a constant: that of ``pooled``, or
            of the features where it is None.
        activation: What turns logits into probabilities.
        assumed: Whether that activation is not the model's own: it answers logits.
    """

    image: keras.KerasTensor
    features: keras.KerasTensor
    layer: str
    logits: keras.KerasTensor
    pooled: keras.KerasTensor | None
    pooling: Pooling
    affine: bool
    activation: Activation
    assumed: bool


def dissect(
    image: keras.KerasTensor,
    output: keras.KerasTensor,
    target_layer: str | None = None,
    activation: Activation | None = None,
) -> Anatomy:
    """Find features and logits of a flat graph.

    Args:
        image: The graph's input.
        output: The graph's output, ``[N, L]``.
        target_layer: Name of the layer to explain; by default the one that feeds the pooling.
        activation: How probabilities follow where the output is logits; sigmoid by default.

    Raises:
        UnsupportedModelError: No such structure; the message names what was found.
    """
    _require_channels_last(output)
    logits, own = split_activation(output, activation)
    if activation is not None and own not in (None, activation):
        raise UnsupportedModelError(
            f"expected --activation for a model that answers logits, got {activation} for one that ends in {own}; "
            "leave --activation out"
        )
    if len(logits.shape) != 2 or logits.shape[-1] is None:
        raise UnsupportedModelError(
            f"expected an output of shape [N, labels], got {tuple(output.shape)}; "
            "end the model with a pooling and a dense layer"
        )
    features = _named(logits, target_layer) if target_layer else _feeding_the_pooling(image, logits)
    _require_cut(image, features, logits)
    _require_rows_of_the_image(image, features, logits)
    require_in_place(image, features)
    consumers = [node for node in between(features, logits) if _reads(node, features)]
    pooling = _pooling_kind(consumers, features)
    rest = [node for node in between(features, logits) if node not in consumers]
    alone = len(consumers) == 1 and pooling in ("mean", "max")
    # Where the pooled features are the logits, as in a fully convolutional network, no head is left.
    single = alone and consumers[0].outputs[0] is not logits
    return Anatomy(
        image=image,
        features=features,
        layer=features._keras_history.operation.name,
        logits=logits,
        pooled=consumers[0].outputs[0] if single else None,
        pooling=pooling,
        affine=(single or pooling in ("mean", "flatten")) and all(map(_is_affine, rest)),
        activation=own or activation or "sigmoid",
        assumed=own is None,
    )


def _require_channels_last(output: keras.KerasTensor) -> None:
    for call in behind(output):
        if getattr(call.operation, "data_format", None) == "channels_first":
            raise UnsupportedModelError(
                "expected layers whose images are [N, h, w, channels], as TensorFlow computes them on processors, got "
                f"data_format='channels_first' in layer {call.operation.name!r}; build the model with channels_last "
                "and give it the same weights"
            )


def _feeding_the_pooling(image: keras.KerasTensor, logits: keras.KerasTensor) -> keras.KerasTensor:
    """Walk back from the logits to the last tensor that still has rows and columns, as these were made."""
    found: list[keras.KerasTensor] = []
    seen: set[int] = set()
    queue = [logits]
    while queue:
        tensor = queue.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if _is_spatial(tensor) and not _is_rearranged(tensor):
            found.append(tensor)
        else:
            queue.extend(inputs_of(call_of(tensor)))
    layers = sorted(tensor._keras_history.operation.name for tensor in found)
    if len(found) != 1 or isinstance(found[0]._keras_history.operation, keras.layers.InputLayer):
        raise UnsupportedModelError(
            "expected one feature tensor [N, h, w, channels] that feeds a pooling or flatten before the head, got "
            f"{layers or 'none'}; {_way_out(image, logits, _SEVERAL if len(found) > 1 else _NONE)}"
        )
    return found[0]


def _named(logits: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Find the output of a layer by its name."""
    spatial = _spatial_layers(logits)
    if name not in spatial:
        raise UnsupportedModelError(
            f"expected --target-layer to name one layer with an output [N, h, w, channels], got {name!r}; "
            f"the last ones are {list(spatial)[:8]}{_numbered(name, spatial)}"
        )
    if len(spatial[name]) > 1:
        raise UnsupportedModelError(
            f"expected --target-layer to name a layer that is called once, got {name!r}, which is called "
            f"{len(spatial[name])} times; leave out --target-layer, or name a layer of one call"
        )
    return spatial[name][0]


def _spatial_layers(logits: keras.KerasTensor) -> dict[str, list[keras.KerasTensor]]:
    """Gather by layer the tensors that have rows and columns as these were made, nearest first."""
    spatial: dict[str, list[keras.KerasTensor]] = {}
    for node in behind(logits):
        if node.is_input or len(node.outputs) != 1:
            continue
        if _is_spatial(node.outputs[0]) and not _is_rearranged(node.outputs[0]):
            spatial.setdefault(node.operation.name, []).append(node.outputs[0])
    return spatial


def _way_out(image: keras.KerasTensor, logits: keras.KerasTensor, otherwise: str) -> str:
    """Name a layer that can be explained in place of one that can't, or say what else to do."""
    for name, tensors in _spatial_layers(logits).items():
        if len(tensors) == 1 and _is_explainable(image, tensors[0], logits):
            return f"name {name!r} with --target-layer"
    return otherwise


def _is_explainable(
    image: keras.KerasTensor, features: keras.KerasTensor, logits: keras.KerasTensor
) -> bool:
    try:
        require_in_place(image, features)
    except UnsupportedModelError:
        return False
    return (
        any(learns(call.operation) for call in behind(features))
        and not _is_gone_around(image, features, logits)
        and _has_rows_of_the_image(image, features)
    )


def _numbered(name: str, known: Iterable[str]) -> str:
    """Tell of the layers that a name would fit, had several not shared it; empty where there are none."""
    found = sorted(each for each in known if re.fullmatch(rf"{re.escape(name)}_\d+", each))
    return (
        f"; names that several layers share are numbered from the input on: {found}"
        if found
        else ""
    )


def _require_cut(
    image: keras.KerasTensor, features: keras.KerasTensor, logits: keras.KerasTensor
) -> None:
    """Refuse features that the image reaches the logits without."""
    if _is_gone_around(image, features, logits):
        raise UnsupportedModelError(
            "expected a target layer that everything on the way from the image to the logits passes through, got "
            f"{features._keras_history.operation.name!r}, which a connection goes around; "
            f"{_way_out(image, logits, _SEVERAL)}"
        )


def _is_gone_around(
    image: keras.KerasTensor, features: keras.KerasTensor, logits: keras.KerasTensor
) -> bool:
    queue, seen = [logits], {id(features)}
    while queue:
        tensor = queue.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if tensor is image:
            return True
        queue.extend(inputs_of(call_of(tensor)))
    return False


def _require_rows_of_the_image(
    image: keras.KerasTensor, features: keras.KerasTensor, logits: keras.KerasTensor
) -> None:
    """Refuse features that the image reaches only as a vector, whose rows and columns are none of the image's."""
    if not _has_rows_of_the_image(image, features):
        raise UnsupportedModelError(
            "expected features whose rows and columns are the image's, got those of "
            f"{features._keras_history.operation.name!r}, behind a vector that was reshaped to an image; "
            f"{_way_out(image, logits, _NONE)}"
        )


def _has_rows_of_the_image(image: keras.KerasTensor, features: keras.KerasTensor) -> bool:
    queue, seen = [features], set()
    while queue:
        tensor = queue.pop()
        if tensor is image:
            return True
        if id(tensor) in seen or _is_made_of_a_vector(tensor):
            continue
        seen.add(id(tensor))
        queue.extend(inputs_of(call_of(tensor)))
    return False


def _pooling_kind(consumers: list[Any], features: keras.KerasTensor) -> Pooling:
    """Name what the operations that read the features do to rows and columns."""
    kinds = {_reduction(node, features) for node in consumers}
    return kinds.pop() if len(kinds) == 1 else "other"


def _reduction(node: Any, features: keras.KerasTensor) -> Pooling:
    """Name one reduction; ``other`` where its gradient may depend on the image in a way not known here."""
    kind = kind_of(node.operation)
    height, width = features.shape[1:3]
    axes = getattr(node.operation, "axis", None)
    spatial = axes is not None and tuple(sorted(keras.tree.flatten(axes))) in ((1, 2), (-3, -2))
    gone = len(node.outputs[0].shape) == 2 or tuple(node.outputs[0].shape[1:3]) == (1, 1)
    covers = gone and tuple(getattr(node.operation, "pool_size", ())) == (height, width)
    if kind == "GlobalAveragePooling2D" or (kind == "Mean" and spatial):
        return "mean"
    if kind == "AveragePooling2D" and covers:
        return "mean"
    if (
        kind == "GlobalMaxPooling2D"
        or (kind == "Max" and spatial)
        or (kind == "MaxPooling2D" and covers)
    ):
        return "max"
    if kind == "Flatten" or kind in _REARRANGING:
        return "flatten"
    return "other"


def _is_affine(node: Any) -> bool:
    if getattr(node.operation, "quantization_mode", None) is not None:
        return False  # rounds by the scale of its input
    kind = kind_of(node.operation)
    return activation_of(node.operation) == "linear" and kind in _AFFINE | {"Activation"}


def _is_spatial(tensor: keras.KerasTensor) -> bool:
    shape = tensor.shape
    return len(shape) == 4 and None not in shape[1:3] and shape[1] * shape[2] > 1


def _is_rearranged(tensor: keras.KerasTensor) -> bool:
    """Tell whether a tensor is an image whose axes may mean something else by now."""
    call = call_of(tensor)
    return kind_of(call.operation) in _REARRANGING and len(inputs_of(call)[0].shape) == 4


def _is_made_of_a_vector(tensor: keras.KerasTensor) -> bool:
    call = call_of(tensor)
    return (
        _is_spatial(tensor)
        and kind_of(call.operation) == "Reshape"
        and len(inputs_of(call)[0].shape) == 2
    )


def _reads(node: Any, tensor: keras.KerasTensor) -> bool:
    return any(read is tensor for read in inputs_of(node))
