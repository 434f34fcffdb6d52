"""Unpickle PyTorch's checkpoints with a table of allowed names; any other name is refused, and nothing is executed.

A pickle is a program: it imports names and calls them. Here every name it can import is in the table below, and none of
them does more than hold what it is given.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from export.torchxrayvision.errors import WeightsFileError
from export.torchxrayvision.records import (
    STORAGE_TYPES,
    Buffer,
    Module,
    Storage,
    nothing,
    rebuild_parameter,
    rebuild_tensor,
)

Resolve = Callable[[tuple[Any, ...]], Any]

_MODULES: Final = (
    "torch.nn.modules.activation.ReLU",
    "torch.nn.modules.activation.Sigmoid",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.dropout.Dropout",
    "torch.nn.modules.linear.Linear",
    "torch.nn.modules.pooling.AdaptiveAvgPool2d",
    "torch.nn.modules.pooling.AvgPool2d",
    "torch.nn.modules.pooling.MaxPool2d",
    "torch.nn.parallel.data_parallel.DataParallel",
    *(
        f"{package}.{name}"
        for package in ("torchxrayvision.models", "torchvision.models.densenet")
        for name in ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition")
    ),
)

_ALLOWED: Final[Mapping[str, Any]] = {
    "collections.OrderedDict": OrderedDict,
    # Protocol 2, which PyTorch writes, spells the builtins as Python 2 did.
    "__builtin__.set": set,
    "builtins.set": set,
    "torch.Size": tuple,
    "torch.device": nothing,
    # PyTorch 1.1 and older: a field that every module carried.
    "torch.nn.backends.thnn._get_thnn_function_backend": nothing,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": rebuild_parameter,
    **dict.fromkeys(_MODULES, Module),
    **{
        f"{package}.{name}": name  # text, which a pickle can neither call nor change
        for package in ("torch", "torch.cuda")
        for name in STORAGE_TYPES
    },
}


class RestrictedUnpickler(pickle.Unpickler):
    """Read one pickle; names outside of the table and unknown persistent identifiers are refused."""

    def __init__(self, file: IO[bytes], resolve: Resolve) -> None:
        super().__init__(file, encoding="utf-8")
        self._resolve = resolve

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Look a name up in the table.

        Raises:
            WeightsFileError: The name is not in it.
        """
        name = f"{module_name}.{global_name}"
        if name not in _ALLOWED:
            raise WeightsFileError(
                f"expected a checkpoint that names tensors and DenseNet layers only, got the name {name!r}; it was not "
                "run, and the file is refused: get the weights from where they are published"
            )
        return _ALLOWED[name]

    def persistent_load(self, pid: Any) -> Any:
        """Resolve what the pickle refers to outside of itself."""
        if not isinstance(pid, tuple) or not pid:
            raise WeightsFileError(f"expected a storage or a module, got the reference {pid!r}")
        return self._resolve(pid)


class Storages:
    """Collect the storages that a pickle refers to, one buffer per key."""

    def __init__(self) -> None:
        self.buffers: dict[str, Buffer] = {}

    def resolve(self, reference: tuple[Any, ...]) -> Any:
        """Turn a persistent identifier into a storage, or into the stand-in of a module's class.

        Raises:
            WeightsFileError: It is neither, or contradicts an earlier one.
        """
        try:
            return self._resolve(reference)
        except (TypeError, ValueError, AttributeError) as err:
            raise WeightsFileError(
                f"expected a storage or a module, got the reference {reference[:1]!r}; the file is damaged"
            ) from err

    def _resolve(self, reference: tuple[Any, ...]) -> Any:
        kind, *fields = reference
        # Files from before PyTorch 1.6 carry the classes' source text: not looked at
        if kind == "module":
            return fields[0]
        if kind != "storage":
            raise ValueError(kind)
        storage_type, key, _, numel, *view = fields
        if storage_type not in STORAGE_TYPES or type(numel) is not int or numel < 0:
            raise ValueError(storage_type)
        dtype = STORAGE_TYPES[storage_type]
        buffer = self.buffers.setdefault(str(key), Buffer(str(key), dtype, numel))
        if (buffer.dtype, buffer.numel) != (dtype, numel):
            raise ValueError(key)
        if view and view[0] is not None:
            _, start, size = view[0]
            return Storage(buffer, int(start), int(size))
        return Storage(buffer, 0, numel)


def unpickle(file: IO[bytes], resolve: Resolve) -> Any:
    """Read one pickle from where the file stands, leaving it behind the pickle's end.

    Raises:
        WeightsFileError: It is no pickle, or names what is not allowed.
    """
    try:
        return RestrictedUnpickler(file, resolve).load()
    except WeightsFileError:
        raise
    except Exception as err:  # a damaged pickle raises whatever its opcodes run into
        raise WeightsFileError(
            f"expected a checkpoint of PyTorch, got something that does not unpickle: {type(err).__name__}: {err}"
        ) from err


def no_reference(reference: tuple[Any, ...]) -> Any:
    """Refuse any reference: for pickles that have none."""
    raise WeightsFileError(f"expected plain values, got the reference {reference!r}")


def unpickle_bytes(data: bytes, resolve: Resolve) -> Any:
    """Read one pickle out of bytes."""
    return unpickle(io.BytesIO(data), resolve)
