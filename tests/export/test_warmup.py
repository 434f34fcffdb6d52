"""Check the requests that TensorFlow Serving runs at load."""

from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export.errors import ExportError
from export.servable import export_model
from export.warmup import check_batch_sizes
from tests.support.tiny_models import PLANTED_LABELS, planted_model

pytestmark = pytest.mark.tensorflow


def test_each_signature_is_warmed_up_at_each_batch_size(tmp_path: Path) -> None:
    version = export_model(
        planted_model(), tmp_path, labels=PLANTED_LABELS, preprocess="rescale", batch_sizes=(4, 1), name="chest"
    )  # fmt: skip
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "chest"
        ((alias, tensor),) = request.inputs.items()
        shape = tuple(tf.make_ndarray(tensor).shape)
        seen.append((request.model_spec.signature_name, alias, shape))

    assert sorted(seen) == sorted(
        entry
        for size in (1, 4)
        for entry in (
            ("serving_default", "image", (size, 96, 128, 1)),
            ("gradcam", "image", (size, 96, 128, 1)),
            ("describe", "request", (size,)),
        )
    )


def test_more_requests_than_a_load_allows_are_refused_before_any_work(tmp_path: Path) -> None:
    check_batch_sizes([*range(1, 334), 1])
    with pytest.raises(ExportError, match=r"at most 333 batch sizes.*got 334"):
        export_model(planted_model(), tmp_path / "out", batch_sizes=range(1, 335))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [513, 99_999_999, 10**25])
def test_larger_requests_than_are_ever_served_are_refused_before_any_work(
    size: int, tmp_path: Path
) -> None:
    check_batch_sizes([512])
    with pytest.raises(ExportError, match=rf"batch sizes of at most 512, got {size};"):
        export_model(planted_model(), tmp_path / "out", batch_sizes=(1, size))
    assert not (tmp_path / "out").exists()
