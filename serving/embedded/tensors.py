"""Turn TensorFlow's TensorProtos into NumPy arrays and back, in the two forms that TF Serving uses."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import tensor_pb2

_TYPED_FIELDS: Final = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.uint8: "int_val",
    tf.int64: "int64_val",
}
_LAST: Final = 0x7F  # the most that the last byte of a varint holds
_MORE: Final = 0x80  # in each byte before it


def decode(proto: Any) -> NDArray[Any]:
    """Read a tensor.

    Raises:
        ValueError: The proto contradicts itself.
    """
    dtype = tf.dtypes.as_dtype(proto.dtype)
    if not proto.tensor_content:
        return np.asarray(tf.make_ndarray(proto))
    shape = [dim.size for dim in proto.tensor_shape.dim]
    return np.frombuffer(proto.tensor_content, dtype.as_numpy_dtype).reshape(shape)


def encode(array: NDArray[Any], *, as_content: bool) -> Any:
    """Write a tensor as its bytes, or value by value as TF Serving does unless told otherwise."""
    dtype = tf.dtypes.as_dtype(array.dtype)
    field = _TYPED_FIELDS.get(dtype)
    if field is None:
        proto = tf.make_tensor_proto(array)
        if as_content and dtype == tf.string:
            proto.tensor_content = _packed(proto.string_val)
            del proto.string_val[:]
        return proto
    proto = tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    if as_content:
        proto.tensor_content = array.tobytes()
    else:
        getattr(proto, field).extend(array.ravel().tolist())
    return proto


def _packed(strings: Sequence[bytes]) -> bytes:
    """Pack strings as TensorFlow's EncodeStringList does: the lengths of all, as varints, and then the bytes of all."""
    return b"".join([*(_varint(len(each)) for each in strings), *strings])


def _varint(number: int) -> bytes:
    parts = []
    while number > _LAST:
        parts.append(number & _LAST | _MORE)
        number >>= 7
    return bytes([*parts, number])
