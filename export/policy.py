"""Bring a network that was trained in mixed precision back to float32.

Its weights are float32 already; only what the layers compute in changes. Precision is then the exporter's to lower,
once per graph and behind a gate, and not each layer's.
"""

from collections.abc import Iterator

import keras

from export.errors import UnsupportedModelError


def compute_in_float32(model: keras.Model) -> bool:
    """Let every layer of a model compute in float32, and tell whether any did not.

    Args:
        model: Changed in place.
    """
    lowered = list(_lowered(model))
    for layer in lowered:
        # "float32" where nothing is quantised, else "int8_from_float32"
        quantized, of, _ = layer.dtype_policy.name.rpartition("_from_")
        layer.dtype_policy = f"{quantized}{of}float32"
    for layer in _inputs(model):
        if _is_float(layer):
            # A policy does not reach what an input rounds to before any layer sees it.
            layer._dtype = layer.output._dtype = "float32"
    return bool(lowered)


def integer_input(model: keras.Model) -> keras.layers.InputLayer | None:
    """Find an input that takes integers, which rounds off whatever becomes of pixels before it."""
    return next((layer for layer in _inputs(model) if not _is_float(layer)), None)


def require_float32(model: keras.Model) -> None:
    """Refuse a model that computes in less.

    Raises:
        UnsupportedModelError: A layer computes in another type; the message names it.
    """
    for layer in model._flatten_layers():
        if layer.quantization_mode == "float8":
            raise UnsupportedModelError(
                f"expected a network that computes in float32, got float8 in layer {layer.name!r}; export the model as "
                "it was before quantize('float8')"
            )
    layer = next(_lowered(model), None)
    if layer is not None:
        raise UnsupportedModelError(
            f"expected a network that computes in float32, got {layer.compute_dtype} in layer {layer.name!r}; "
            "call export.policy.compute_in_float32(model), or export its file, and choose with --precision"
        )


def _inputs(model: keras.Model) -> Iterator[keras.layers.InputLayer]:
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.InputLayer):
            yield layer


def _is_float(layer: keras.layers.InputLayer) -> bool:
    return bool(keras.backend.is_float_dtype(layer.dtype))


def _lowered(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model._flatten_layers():
        if layer.compute_dtype in ("bfloat16", "float16"):
            yield layer
