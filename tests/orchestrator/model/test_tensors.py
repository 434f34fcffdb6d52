"""Test what the tensor codec refuses; what it reads and writes is compared in ``test_wire``."""

import numpy as np
import pytest

from orchestrator.model import tensors
from orchestrator.model import wire_pb2 as wire


def proto(*shape: int, **fields: object) -> wire.TensorProto:
    message = wire.TensorProto(dtype=wire.DT_FLOAT, **fields)  # type: ignore[arg-type]
    message.tensor_shape.dim.extend(wire.TensorShapeProto.Dim(size=size) for size in shape)
    return message


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (proto(2, tensor_content=b"1234"), "expected 2 values"),
        (proto(1, tensor_content=b"123"), "whole values"),
        (proto(2), "expected 2 values"),
        (proto(1, float_val=[1, 2]), "expected 1 values"),
        (proto(-1, float_val=[1]), "complete shape"),
        (wire.TensorProto(dtype=wire.DT_DOUBLE, double_val=[1]), "float32, int32, uint8 or string"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(message: wire.TensorProto, words: str) -> None:
    with pytest.raises(tensors.TensorError, match=words):
        tensors.decode(message)


def strings(content: bytes, *shape: int) -> wire.TensorProto:
    message = proto(*shape, tensor_content=content)
    message.dtype = wire.DT_STRING
    return message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x03\x02abcde", [b"abc", b"de"]),
        (b"\x00\x01a", [b"", b"a"]),
        (b"\xac\x02\x80\x01" + 300 * b"x" + 128 * b"y", [300 * b"x", 128 * b"y"]),
    ],
)
def test_strings_are_read_as_tensorflow_packs_them(content: bytes, expected: list[bytes]) -> None:
    assert tensors.decode(strings(content, 2)).tolist() == expected


@pytest.mark.parametrize("content", [b"\x03", b"\x03\x82", b"\x03\x02abcd", b"\x03\x02abcdef"])
def test_packed_strings_that_are_cut_short_or_go_on_are_refused(content: bytes) -> None:
    with pytest.raises(tensors.TensorError, match="of strings"):
        tensors.decode(strings(content, 2))


def test_only_types_of_the_contract_are_written() -> None:
    with pytest.raises(tensors.TensorError, match="got float64"):
        tensors.encode(np.zeros(1))
