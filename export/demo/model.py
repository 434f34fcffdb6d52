"""Load the demo weights that come with the project into the stock network."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from export.demo.network import build_network
from serving.contract import DEFAULT_LABELS

WEIGHTS: Final = Path(__file__).with_name("weights.npz")
RECORD: Final = Path(__file__).with_name("weights.json")


def build_demo_model(weights: Path = WEIGHTS) -> keras.Model:
    """Build DenseNet121 + global average pooling + dense sigmoid with demo weights, float32.

    Its input is float32 [N, 224, 224, 3], gray pixels replicated and normalised in Keras' "densenet"
    way; its output probabilities float32 [N, 15] in the order of ``DEFAULT_LABELS``.

    Raises:
        ValueError: The file does not hold this network's weights.
    """
    model = build_network(len(DEFAULT_LABELS))
    with np.load(weights, allow_pickle=False) as stored:
        names = [weight.path for weight in model.weights]
        if sorted(names) != sorted(stored.files):
            missing = sorted(set(names) ^ set(stored.files))[:3]
            raise ValueError(
                f"expected the {len(names)} weights of {model.name} in {weights}, got"
                f" {len(stored.files)} that differ in {missing}; train again with 'cxr train-demo'"
            )
        for weight in model.weights:
            weight.assign(stored[weight.path].astype(np.float32))
    return model


def save_weights(model: keras.Model, path: Path) -> str:
    """Write a network's weights, kernels as float16, and return the file's SHA-256, hexadecimal."""
    arrays = {weight.path: shorten(np.asarray(weight)) for weight in model.weights}
    aside = path.with_suffix(".part.npz")
    np.savez(aside, allow_pickle=False, **arrays)
    aside.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shorten(weight: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return kernels as float16; batch norms and biases, small and wide in range, as float32."""
    return weight.astype(np.float16) if weight.ndim > 1 else weight.astype(np.float32)


def read_record() -> dict[str, Any]:
    """Read how the weights were trained, their thresholds and their figures."""
    record: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def demo_thresholds() -> tuple[float, ...]:
    """Return the operating point of each label, in the order of ``DEFAULT_LABELS``."""
    thresholds = read_record()["thresholds"]
    return tuple(float(thresholds[label]) for label in DEFAULT_LABELS)
