"""Put a network into words and digests for its card."""

import hashlib
import re

import keras
import numpy as np

from export.anatomy import Anatomy

_POOLING = {
    "mean": "global average pooling",
    "max": "global max pooling",
    "flatten": "flattened features",
    "other": "its own pooling",
}


def architecture(model: keras.Model, anatomy: Anatomy) -> str:
    """Name backbone, pooling, head and size, as "densenet121, global average pooling, affine head, …"."""
    most = model.count_params() / 2
    nested = (layer for layer in model.layers if isinstance(layer, keras.Model))
    # An augmentation block is a nested model too, and no backbone.
    backbone = next((layer for layer in nested if layer.count_params() > most), model)
    # Keras numbers the names it makes up by what else the process has built.
    name = re.sub(r"_\d+$", "", backbone.name)
    head = "affine head" if anatomy.affine else "non-linear head"
    outputs = anatomy.logits.shape[-1]
    millions = model.count_params() / 1e6
    return (
        f"{name}, {_POOLING[anatomy.pooling]}, {head} to {outputs} labels, "
        f"{millions:.2f} million parameters"
    )


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 of all weights, in the model's order, hexadecimal."""
    digest = hashlib.sha256()
    for weight in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
