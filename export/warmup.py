"""Write the requests that TensorFlow Serving runs once at load, so that no caller pays for the first run.

https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from export.errors import ExportError
from serving.contract import (
    INPUT_IMAGE,
    INPUT_REQUEST,
    SIGNATURE_DESCRIBE,
    SIGNATURE_GRADCAM,
    SIGNATURE_PREDICT,
    ModelCard,
)

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MOST_RECORDS = 1000  # kMaxNumRecords in TF Serving's saved_model_warmup_util.h: more fails the load
_PER_SIZE = 3  # one per signature
MOST_IMAGES = 512  # of a request, which is made in memory, and run at every load: 26 MB at 224x224


def check_batch_sizes(batch_sizes: Sequence[int]) -> None:
    """Refuse more batch sizes, or larger ones, than a servable may be warmed up at.

    Raises:
        ExportError: Their requests would fail the load, or not fit into memory.
    """
    if max(batch_sizes, default=0) > MOST_IMAGES:
        raise ExportError(
            f"expected batch sizes of at most {MOST_IMAGES}, got {max(batch_sizes)}; name those that are served with "
            "--batch-sizes, up to the server's max_batch_size (8 in serving/batching.config)"
        )
    most, got = MOST_RECORDS // _PER_SIZE, len(set(batch_sizes))
    if got > most:
        raise ExportError(
            f"expected at most {most} batch sizes, as TensorFlow Serving loads no version with more than "
            f"{MOST_RECORDS} warm-up requests, got {got}; name those that are served with --batch-sizes"
        )


def write_warmup(directory: Path, card: ModelCard, batch_sizes: Sequence[int]) -> None:
    """Write one request per signature and batch size.

    Args:
        directory: The SavedModel's directory.
        card: Its card.
        batch_sizes: Sizes that will be served: a larger one than the server's ``max_batch_size`` fails the load.
    """
    path = directory / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as records:
        for request in _requests(card, batch_sizes):
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            records.write(log.SerializeToString(deterministic=True))


def _requests(card: ModelCard, batch_sizes: Sequence[int]) -> Iterator[Any]:
    for size in sorted(set(batch_sizes)):
        image = np.zeros((size, card.input_height, card.input_width, 1), np.uint8)
        request = np.zeros(size, np.int32)
        yield _predict(card.name, SIGNATURE_GRADCAM, INPUT_IMAGE, image)
        yield _predict(card.name, SIGNATURE_PREDICT, INPUT_IMAGE, image)
        yield _predict(card.name, SIGNATURE_DESCRIBE, INPUT_REQUEST, request)


def _predict(model: str, signature: str, alias: str, value: np.ndarray[Any, Any]) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
    return request
