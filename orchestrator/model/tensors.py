"""Turn NumPy arrays into TensorProtos and back, without TensorFlow."""

from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from orchestrator.model import wire_pb2 as wire

# Type on the wire: (NumPy type of tensor_content, typed field), for the model contract's types.
# TF Serving answers in typed fields unless --enable_serialization_as_tensor_content is given.
_NUMERIC: Final[dict[wire.DataType, tuple[np.dtype[Any], str]]] = {
    wire.DT_FLOAT: (np.dtype("<f4"), "float_val"),
    wire.DT_INT32: (np.dtype("<i4"), "int_val"),
    wire.DT_UINT8: (np.dtype("u1"), "int_val"),
}
_MORE: Final = 0x80  # in a byte of a varint that is not its last
_WIRE_TYPES: Final = {dtype: number for number, (dtype, _) in _NUMERIC.items()}


class TensorError(ValueError):
    """A tensor that is of another type than the contract's, or contradicts itself."""


def encode(array: NDArray[Any]) -> wire.TensorProto:
    """Write a float32, int32 or uint8 array as its bytes, the cheapest form to read.

    Raises:
        TensorError: The array is of another type.
    """
    number = _WIRE_TYPES.get(array.dtype)
    if number is None:
        raise TensorError(f"expected an array of float32, int32 or uint8, got {array.dtype}")
    proto = wire.TensorProto(dtype=number, tensor_content=array.tobytes())
    proto.tensor_shape.dim.extend(wire.TensorShapeProto.Dim(size=size) for size in array.shape)
    return proto


def decode(proto: wire.TensorProto) -> NDArray[Any]:
    """Read an array from its bytes or its typed field; strings become an array of bytes objects.

    Raises:
        TensorError: The type is not one of the contract's, or the values don't fill the shape.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise TensorError(f"expected a complete shape, got {shape}")
    size = int(np.prod(shape))
    values = _values(proto, size)
    if 0 < values.size < size and not proto.tensor_content:
        # TensorFlow leaves out trailing repetitions of a typed field's last value.
        values = np.concatenate([values, np.repeat(values[-1:], size - values.size)])
    if values.size != size:
        raise TensorError(f"expected {size} values for the shape {shape}, got {values.size}")
    return values.reshape(shape)


def _values(proto: wire.TensorProto, size: int) -> NDArray[Any]:
    if proto.dtype == wire.DT_STRING:
        content = proto.tensor_content
        strings = _strings(content, size) if content else proto.string_val
        return np.array(list(strings), dtype=object)
    if proto.dtype not in _NUMERIC:
        raise TensorError(
            f"expected a tensor of float32, int32, uint8 or string, got {proto.dtype}"
        )
    dtype, name = _NUMERIC[proto.dtype]
    if not proto.tensor_content:
        return np.array(getattr(proto, name), dtype=dtype)
    if len(proto.tensor_content) % dtype.itemsize:
        raise TensorError(
            f"expected whole values, got {len(proto.tensor_content)} bytes of {dtype}"
        )
    return np.frombuffer(proto.tensor_content, dtype=dtype)


def _strings(content: bytes, count: int) -> list[bytes]:
    """Read strings as TensorFlow packs them: the lengths of all, as varints, and then the bytes of all.

    It is what ``EncodeStringList`` writes (tensorflow/core/platform/tensor_coding.cc).
    """
    lengths: list[int] = []
    position = 0
    for _ in range(count):
        length = shift = 0
        more = True
        while more:
            if position == len(content):
                raise TensorError(f"expected {count} lengths of strings, got {len(lengths)}")
            byte = content[position]
            length |= (byte & 0x7F) << shift
            more = byte >= _MORE
            shift += 7
            position += 1
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise TensorError(
            f"expected {sum(lengths)} bytes of strings, got {len(content) - position}"
        )
    ends = list(accumulate(lengths, initial=position))
    return [content[start:end] for start, end in pairwise(ends)]
