"""Write small SavedModels that keep, or break, the model contract: ``python -m … DIRECTORY``.

They are made in a process of its own, so that the tests themselves need no TensorFlow. Every one
takes longer the brighter the first pixel of the image is: see `delay`.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving import contract
from tests.support import cards

LABELS = ("Edema", "Effusion", "Mass")
HEIGHT, WIDTH = 8, 6
MAP_HEIGHT, MAP_WIDTH = 4, 3
MAX_BATCH = 4


def card(version: int) -> contract.ModelCard:
    return cards.card(
        labels=LABELS,
        input_height=HEIGHT,
        input_width=WIDTH,
        preprocessing="pixels / 255",
        architecture=f"a kernel per label, version {version}",
        target_layer="pixels",
        map_height=MAP_HEIGHT,
        map_width=MAP_WIDTH,
        weights="untrained",
    )


def delay(image: Any) -> Any:
    """Return zero after some milliseconds for each step of the brightest first pixel."""
    steps = tf.cast(tf.reduce_max(image[:, :1, :1, 0]), tf.int32)
    square = tf.eye(160) * (1.0 + 1e-9 * tf.cast(steps, tf.float32))
    _, product = tf.while_loop(
        lambda step, _: step < steps * 8,
        lambda step, product: (step + 1, tf.linalg.matmul(product, square)),
        (0, square),
    )
    return tf.clip_by_value(product[0, 0], 0.0, 0.0)


class TinyModel(tf.Module):  # type: ignore[misc]
    """Score each label by a variable times the mean of the image's cells."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.kernel = tf.Variable(tf.range(1.0, len(LABELS) + 1) * version, name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, HEIGHT, WIDTH, 1], tf.uint8, "image")])  # type: ignore[untyped-decorator]
    def gradcam(self, image: Any) -> dict[str, Any]:
        image = tf.ensure_shape(image, [None, HEIGHT, WIDTH, 1])
        cells = tf.nn.avg_pool2d(tf.cast(image, tf.float32) / 255.0, 2, 2, "VALID")[..., 0]
        maps = self.kernel[:, tf.newaxis, tf.newaxis] * cells[:, tf.newaxis] + delay(image)
        logits = tf.reduce_mean(maps, [2, 3])
        return {
            contract.OUTPUT_LOGITS: logits,
            contract.OUTPUT_PROBABILITIES: tf.sigmoid(logits),
            contract.OUTPUT_ACTIVATION_MAPS: maps,
        }

    @tf.function(input_signature=[tf.TensorSpec([None, HEIGHT, WIDTH, 1], tf.uint8, "image")])  # type: ignore[untyped-decorator]
    def predict(self, image: Any) -> dict[str, Any]:
        outputs = self.gradcam(image)
        return {contract.OUTPUT_PROBABILITIES: outputs[contract.OUTPUT_PROBABILITIES]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "request")])  # type: ignore[untyped-decorator]
    def describe(self, request: Any) -> dict[str, Any]:
        request = tf.ensure_shape(request, [None])
        return {contract.OUTPUT_CARD: tf.fill(tf.shape(request), card(self.version).to_json())}


def save(directory: Path, version: int, warmup_batches: tuple[int, ...] = ()) -> None:
    model = TinyModel(version)
    tf.saved_model.save(
        model,
        str(directory),
        signatures={
            contract.SIGNATURE_GRADCAM: model.gradcam,
            contract.SIGNATURE_PREDICT: model.predict,
            contract.SIGNATURE_DESCRIBE: model.describe,
        },
    )
    if warmup_batches:
        write_warmup(directory / "assets.extra", warmup_batches)


def write_warmup(directory: Path, batches: tuple[int, ...]) -> None:
    directory.mkdir()
    with tf.io.TFRecordWriter(str(directory / "tf_serving_warmup_requests")) as writer:
        for signature, name, shape, dtype in (
            (contract.SIGNATURE_GRADCAM, "image", (HEIGHT, WIDTH, 1), np.uint8),
            (contract.SIGNATURE_PREDICT, "image", (HEIGHT, WIDTH, 1), np.uint8),
            (contract.SIGNATURE_DESCRIBE, "request", (), np.int32),
        ):
            for batch in batches:
                request = predict_pb2.PredictRequest()
                request.model_spec.name = contract.MODEL_NAME
                request.model_spec.signature_name = signature
                request.inputs[name].CopyFrom(
                    tf.make_tensor_proto(np.zeros((batch, *shape), dtype))
                )
                log = prediction_log_pb2.PredictionLog()
                log.predict_log.request.CopyFrom(request)
                writer.write(log.SerializeToString())


def save_keras_in_module(directory: Path) -> None:
    """Save what `tf.saved_model.load` takes and TF Serving does not: two handles per variable."""
    layer = tf.keras.layers.Dense(len(LABELS))
    layer.build((None, 4))
    module = tf.Module()
    module.layer = layer
    module.serve = tf.function(
        lambda image: {"probabilities": layer(image)},
        input_signature=[tf.TensorSpec([None, 4], tf.float32, "image")],
    )
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.serve})


SERVABLES: dict[str, Callable[[Path], None]] = {
    "one": lambda path: save(path, 1, warmup_batches=(1, MAX_BATCH)),
    "two": lambda path: save(path, 2),
    "too_large_warmup": lambda path: save(path, 1, warmup_batches=(2 * MAX_BATCH,)),
    "keras_in_module": save_keras_in_module,
}


def main(directory: Path) -> None:
    for name, write in SERVABLES.items():
        write(directory / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
