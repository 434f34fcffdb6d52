"""Compare `orchestrator.model.wire_pb2` with TensorFlow's own messages: ``python -m …``; raises if they differ.

It runs in a process of its own, because the official messages come with all of TensorFlow.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_pb2, predict_pb2, status_pb2

from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire

OFFICIAL: dict[type[Message], Any] = {
    wire.TensorShapeProto: tensor_shape_pb2.TensorShapeProto,
    wire.TensorProto: tensor_pb2.TensorProto,
    wire.ModelSpec: model_pb2.ModelSpec,
    wire.PredictRequest: predict_pb2.PredictRequest,
    wire.PredictResponse: predict_pb2.PredictResponse,
    wire.StatusProto: status_pb2.StatusProto,
    wire.GetModelStatusRequest: get_model_status_pb2.GetModelStatusRequest,
    wire.ModelVersionStatus: get_model_status_pb2.ModelVersionStatus,
    wire.GetModelStatusResponse: get_model_status_pb2.GetModelStatusResponse,
}
# On the wire an enumeration is an int32.
AS_INT32 = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32}


def compare_declarations() -> None:
    """Check that every message, field and value has its namesake, of the same number and type."""
    compared = {ours.DESCRIPTOR.name for ours in OFFICIAL}
    assert compared == set(wire.DESCRIPTOR.message_types_by_name)
    for ours, theirs in OFFICIAL.items():
        compare_fields(ours.DESCRIPTOR, theirs.DESCRIPTOR)
    official_types = dict(types_pb2.DataType.items())
    for name, number in wire.DataType.items():
        assert official_types[name] == number, name
    states = get_model_status_pb2.ModelVersionStatus.State
    assert dict(wire.ModelVersionStatus.State.items()) == dict(states.items())


def compare_fields(ours: Any, theirs: Any) -> None:
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        for attribute in ("number", "is_repeated", "is_packed"):
            values = getattr(field, attribute), getattr(other, attribute)
            assert values[0] == values[1], (field.full_name, attribute, values)
        types = AS_INT32.get(field.type, field.type), AS_INT32.get(other.type, other.type)
        assert types[0] == types[1], field.full_name
    for nested in ours.nested_types:
        compare_fields(nested, theirs.nested_types_by_name[nested.name])


def compare_round_trips() -> None:
    """Check that each message filled to the brim survives there and back, both ways."""
    for ours, theirs in OFFICIAL.items():
        mine = fill(ours())
        there = theirs.FromString(mine.SerializeToString())
        back = ours.FromString(there.SerializeToString())
        assert back == mine, ours.DESCRIPTOR.name
        again = theirs.FromString(back.SerializeToString())
        assert again == there, ours.DESCRIPTOR.name


def fill(message: Any) -> Any:
    """Give every field of a message a value."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            fill(getattr(message, field.name)["key"])
        elif field.message_type is not None:
            value = getattr(message, field.name)
            fill(value.add() if field.is_repeated else value)
        else:
            value = example(field)
            if field.is_repeated:
                getattr(message, field.name).extend([value, value])
            else:
                setattr(message, field.name, value)
    return message


def example(field: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    return {
        FieldDescriptor.CPPTYPE_STRING: "ü"
        if field.type == FieldDescriptor.TYPE_STRING
        else b"\xff",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_FLOAT: 1.5,
        FieldDescriptor.CPPTYPE_DOUBLE: 1e300,
    }.get(field.cpp_type, 7)


def compare_tensors() -> None:
    """Check that TensorFlow reads our tensors, and we its own in both of its forms."""
    for dtype in (np.float32, np.int32, np.uint8):
        for shape in ((), (1,), (2, 3), (0, 3), (1, 15, 7, 7)):
            array = (np.arange(np.prod(shape)) % 200).astype(dtype).reshape(shape)
            sent = tensor_pb2.TensorProto.FromString(tensors.encode(array).SerializeToString())
            check(tf.make_ndarray(sent), array)
            for official in (tf.make_tensor_proto(array), one_by_one(array)):
                received = wire.TensorProto.FromString(official.SerializeToString())
                check(tensors.decode(received), array)
    same = tf.make_tensor_proto(2.5, shape=(2, 3), dtype=tf.float32)
    check(
        tensors.decode(wire.TensorProto.FromString(same.SerializeToString())),
        np.full((2, 3), 2.5, np.float32),
    )
    texts = tf.make_tensor_proto([b"{}", b"\xff\x00"])
    decoded = tensors.decode(wire.TensorProto.FromString(texts.SerializeToString()))
    assert decoded.tolist() == [b"{}", b"\xff\x00"]


def one_by_one(array: Any) -> Any:
    """Write a tensor as TF Serving does by default, in the field of its type."""
    dtype = tf.dtypes.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(
        dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto()
    )
    name = "float_val" if dtype == tf.float32 else "int_val"
    getattr(proto, name).extend(array.ravel().tolist())
    return proto


def check(actual: Any, expected: Any) -> None:
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


if __name__ == "__main__":
    compare_declarations()
    compare_round_trips()
    compare_tensors()
