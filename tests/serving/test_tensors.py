"""Check that the stand-in packs tensors as TensorFlow itself reads them."""

import numpy as np
import pytest
import tensorflow as tf

from orchestrator.model import tensors as own
from orchestrator.model import wire_pb2 as wire
from serving.embedded.tensors import encode

pytestmark = pytest.mark.tensorflow

STRINGS = np.array([b"a", b"", 127 * b"b", 128 * b"c", 20_000 * b"\xff"], object)


@pytest.mark.parametrize("as_content", [True, False])
def test_strings_are_read_by_tensorflow_and_by_the_service(as_content: bool) -> None:
    proto = encode(STRINGS, as_content=as_content)
    assert bool(proto.tensor_content) == as_content
    assert bool(proto.string_val) != as_content
    content = proto.SerializeToString()
    assert tf.io.parse_tensor(content, tf.string).numpy().tolist() == STRINGS.tolist()
    assert own.decode(wire.TensorProto.FromString(content)).tolist() == STRINGS.tolist()


def test_numbers_are_read_by_tensorflow_from_their_bytes() -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = encode(numbers, as_content=True).SerializeToString()
    np.testing.assert_array_equal(tf.io.parse_tensor(content, tf.float32), numbers)
