"""Refuse networks that move pixels about on their way to the features: maps would lie beside what they explain."""

from typing import Any, Final

import keras
import numpy as np

from export.calls import behind, call_of, inputs_of, is_keras, kind_of
from export.errors import UnsupportedModelError

_CROPPINGS: Final = {"CenterCrop", "CropImages", "Cropping2D", "RandomCrop"}
# Along rows or columns these move pixels, or keep a part of them, or put parts side by side.
_MOVING: Final = {"ArraySplit", "Concatenate", "Flip", "Roll", "Rot90", "Split"}
_PADDINGS: Final = {"Pad", "PadImages", "ZeroPadding2D"}
_PERMUTATIONS: Final = {"Moveaxis", "Permute", "Swapaxes", "Transpose"}
# Behind these an axis may be any.
_MIXING: Final = {"Dot", "Einsum", "Matmul", "Reshape"}

# The axes of an image that are the rows and columns of the features; None where that can't be told.
Axes = tuple[int, int] | None
# How many rows and columns fall away at the edges behind a tensor: as many of its own may be padding.
Spare = tuple[int, int]


def require_in_place(image: keras.KerasTensor, features: keras.KerasTensor) -> None:
    """Refuse features that do not lie over the whole image, upright.

    Raises:
        UnsupportedModelError: An operation between the two pads, crops, flips or turns; the message names it.
    """
    queue: list[tuple[keras.KerasTensor, Axes, Spare, Any]] = [(features, (1, 2), (0, 0), None)]
    seen: set[tuple[int, Axes, Spare]] = set()
    while queue:
        tensor, axes, spare, turning = queue.pop()
        if tensor is image and axes not in (None, (1, 2)):
            _refuse(turning)
        if tensor is image or len(tensor.shape) < 3 or (id(tensor), axes, spare) in seen:
            continue
        seen.add((id(tensor), axes, spare))
        call = call_of(tensor)
        for read in inputs_of(call):
            before = _axes_before(call.operation, read, tensor, axes)
            left = _spare_before(call, read, tensor, before, spare)
            if (
                min(left) < 0
                or _crops(call.operation, read, tensor)
                or _slices(call, read, before)
                or _moves(call.operation, before)
            ):
                _refuse(call.operation)
            turned = turning if before in (None, axes) else call.operation
            queue.append((read, before, left, turned))


def unchecked(features: keras.KerasTensor) -> list[str]:
    """Name the layers on the way to some features that run code of the model's own, and may do so unseen."""
    operations = {call.operation.name: call.operation for call in behind(features)}
    return [
        name
        for name, operation in reversed(operations.items())
        if kind_of(operation) == "Lambda" or not is_keras(operation)
    ]


def _refuse(operation: Any) -> None:
    raise UnsupportedModelError(
        "expected features that lie over the whole image, upright, got a model that pads, crops, flips or turns "
        f"images inside, in {operation.name!r}; leave that out of the model, and have radiographs brought in "
        "beforehand as it would: --resize crop cuts them to the input's aspect ratio"
    )


def _axes_before(
    operation: Any, read: keras.KerasTensor, made: keras.KerasTensor, axes: Axes
) -> Axes:
    """Follow rows and columns from what an operation made to what it read."""
    if (
        axes is None
        or kind_of(operation) in _MIXING
        or (len(read.shape), len(made.shape)) != (4, 4)
    ):
        return None
    order = _order(operation) if kind_of(operation) in _PERMUTATIONS else range(4)
    return order[axes[0]], order[axes[1]]


def _order(operation: Any) -> list[int]:
    """Return which axis of an image each axis of what a permutation makes of it is."""
    kind, order = kind_of(operation), list(range(4))
    if kind == "Permute":
        return [0, *operation.dims]
    if kind == "Transpose":
        return order[::-1] if operation.axes is None else [axis % 4 for axis in operation.axes]
    if kind == "Swapaxes":
        one, other = operation.axis1, operation.axis2
        order[one], order[other] = order[other], order[one]
        return order
    moved = dict(
        zip(
            (axis % 4 for axis in operation.destination),
            (axis % 4 for axis in operation.source),
            strict=True,
        )
    )
    rest = iter(axis for axis in order if axis not in moved.values())
    return [moved[axis] if axis in moved else next(rest) for axis in order]


def _spare_before(
    call: Any, read: keras.KerasTensor, made: keras.KerasTensor, axes: Axes, spare: Spare
) -> Spare:
    """Follow what falls away from what a call made to what it read; negative where the call pads by more than that."""
    if axes is None or None in (*read.shape[1:], *made.shape[1:]):
        return 0, 0
    if kind_of(call.operation) in _PERMUTATIONS:
        return spare
    rows, columns = (
        _spare_along(axis, call, read.shape[axis], made.shape[axis], left)
        for axis, left in zip(axes, spare, strict=True)
    )
    return rows, columns


def _spare_along(axis: int, call: Any, size: int, made: int, spare: int) -> int:
    """Follow it along one axis: a window loses what padding of its own would have added, whatever lies behind."""
    operation, kind = call.operation, kind_of(call.operation)
    sliced = kind == "GetItem" and getattr(_parts(call)[axis], "step", 0) in (None, 1)
    cut = made < size and (sliced or kind in _CROPPINGS)
    if made == size or cut or kind in _PADDINGS:
        return spare + size - made
    window = getattr(operation, "kernel_size", getattr(operation, "pool_size", None))
    if window is None or axis == 3 or made > size or operation.padding != "valid":
        return 0
    reach = np.broadcast_to(getattr(operation, "dilation_rate", 1), 2) * (np.asarray(window) - 1)
    return int(reach[axis - 1])


def _crops(operation: Any, read: keras.KerasTensor, made: keras.KerasTensor) -> bool:
    """Tell whether an operation cuts off what is no padding, or keeps the aspect ratio by cropping or padding."""
    sides = (*read.shape[1:3], *made.shape[1:3])
    if (len(read.shape), len(made.shape)) != (4, 4) or None in sides:
        return False
    height, width, new_height, new_width = sides
    if any(getattr(operation, f"{way}_to_aspect_ratio", False) for way in ("crop", "pad")):
        return bool(height * new_width != width * new_height)
    smaller = new_height < height or new_width < width
    return kind_of(operation) in _CROPPINGS and smaller and not _is_padded(read)


def _slices(call: Any, read: keras.KerasTensor, axes: Axes) -> bool:
    """Tell whether a call turns rows or columns around, or keeps a part that does not go from edge to edge."""
    if kind_of(call.operation) != "GetItem" or axes is None or _is_padded(read):
        return False
    parts = _parts(call)
    return any(
        isinstance(parts[axis], slice)
        and read.shape[axis] is not None
        and not _spans(parts[axis], read.shape[axis])
        for axis in axes
    )


def _parts(call: Any) -> list[Any]:
    """Return what a call of ``GetItem`` keeps of each axis of an image."""
    key = call.arguments.args[1]
    parts = list(key) if isinstance(key, tuple | list) else [key]  # a list, if loaded from a file
    for place in [index for index, part in enumerate(parts) if part is Ellipsis]:
        parts[place : place + 1] = [slice(None)] * (5 - len(parts))
    return parts + [slice(None)] * (4 - len(parts))


def _is_padded(tensor: keras.KerasTensor) -> bool:
    """Tell whether a tensor was padded just now: what crops it takes that off, as where NASNet shifts by a pixel."""
    return kind_of(call_of(tensor).operation) in _PADDINGS


def _spans(part: slice, size: int) -> bool:
    """Tell whether a slice goes from edge to edge, if by steps: as a convolution of that stride does."""
    kept = range(size)[part]
    return kept.start < kept.step and kept[-1] + kept.step >= size


def _moves(operation: Any, axes: Axes) -> bool:
    """Tell whether an operation of those that move pixels does so along rows or columns."""
    if kind_of(operation) not in _MOVING or axes is None:
        return False
    along = operation.axes if kind_of(operation) == "Rot90" else operation.axis
    moved = range(4) if along is None else keras.tree.flatten(along)
    return not {axis % 4 for axis in moved}.isdisjoint(axes)
