"""Run the servable in this process: its gradient signature, all Grad-CAMs at once."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from benchmarks.rivals.work import MAX_BATCH
from serving.contract import (
    INPUT_IMAGE,
    INPUT_REQUEST,
    OUTPUT_ACTIVATION_MAPS,
    OUTPUT_CARD,
    OUTPUT_PROBABILITIES,
    SIGNATURE_DESCRIBE,
    SIGNATURE_GRADCAM,
    ModelCard,
)


class Network:
    """A SavedModel, loaded and warm.

    Args:
        version: Directory of the SavedModel.
    """

    def __init__(self, version: Path) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._loaded = tf.saved_model.load(str(version))  # signatures hold it by weak references
        self._gradcam = self._loaded.signatures[SIGNATURE_GRADCAM]
        describe = self._loaded.signatures[SIGNATURE_DESCRIBE]
        described = describe(**{INPUT_REQUEST: tf.zeros([1], tf.int32)})
        self.card = ModelCard.from_json(described[OUTPUT_CARD].numpy()[0])
        for size in range(1, MAX_BATCH + 1):
            height, width = self.card.input_height, self.card.input_width
            self.gradcam(np.zeros((size, height, width, 1), np.uint8))

    def gradcam(self, pixels: Any) -> tuple[Any, Any]:
        """Return probabilities ``[N, L]`` and activation maps ``[N, L, h, w]`` of pixels ``[N, H, W, 1]``."""
        found = self._gradcam(**{INPUT_IMAGE: tf.constant(pixels)})
        return found[OUTPUT_PROBABILITIES].numpy(), found[OUTPUT_ACTIVATION_MAPS].numpy()
