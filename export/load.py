"""Load a Keras file without running code that it may carry."""

import json
import re
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras

from export.errors import UnsupportedModelError
from export.policy import compute_in_float32

# By what a file is, the ends of its name by which Keras takes it for that.
_SUFFIXES = {"ZIP": (".keras",), "HDF5": (".h5", ".hdf5")}
# Modules that files of Keras 2 name, and Keras 3 has not.
_KERAS_2 = re.compile(r"(tf_keras|keras\.src\.engine)(\.|$)")
_TRUST = "if you trust the file, add --trust-custom-objects"


def load_model(path: Path, *, trust_custom_objects: bool = False) -> keras.Model:
    """Load a ``.keras`` or legacy ``.h5`` file, to compute in float32 whatever it was trained in.

    Args:
        path: The file.
        trust_custom_objects: Whether code that the file carries (``Lambda``) or names (classes of one's own, imported
            from the module that the file gives) may run.

    Raises:
        UnsupportedModelError: No such file, not a Keras model, its name is that of another format, an earlier Keras
            saved it and this one can't build it, or it needs trust that was not given.
    """
    config = _read_config(path)
    _require_suffix(path)
    version = _keras_version(path)
    is_earlier = version.startswith(("1.", "2."))
    if is_earlier and _names_keras_2(config):
        raise _of_earlier_keras(path, version)
    custom = dict(_custom_objects(config))
    if custom and not trust_custom_objects:
        raise UnsupportedModelError(
            f"expected a model of Keras' own layers, got {path}, which brings code of its own: "
            f"{sorted(custom)}; {_TRUST}"
        )
    objects = {name: _find(name, module) for name, module in custom.items() if module}
    if unknown := sorted(set(_unknown_functions(config))):
        raise UnsupportedModelError(
            f"expected functions that Keras can find, got {path}, which names {unknown} and, as Keras saves functions, "
            "not the module they are in; make each a keras.layers.Layer, or put it, decorated with "
            "@keras.saving.register_keras_serializable(), into the module of a layer of your own that the model has, "
            "and save the model again"
        )
    try:
        model = keras.saving.load_model(
            path, custom_objects=objects, compile=False, safe_mode=not trust_custom_objects
        )
    except Exception as err:
        if is_earlier:
            raise _of_earlier_keras(path, version) from err
        raise UnsupportedModelError(
            f"expected a model that Keras {keras.__version__} can load, got {path}, which it cannot: {err}; "
            "save it again with model.save('name.keras')"
        ) from err
    compute_in_float32(model)
    return model


def _read_config(path: Path) -> Any:
    """Read the description of the layers, JSON, without building any.

    What the model was compiled with is left out, as it is not loaded; Keras does load that of models inside the model.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return json.loads(archive.read("config.json")) | {"compile_config": None}
        with h5py.File(path) as file:
            return json.loads(file.attrs["model_config"])
    except FileNotFoundError as err:
        raise UnsupportedModelError(
            f"expected a Keras file, got {path}, which is not there"
        ) from err
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as err:
        raise UnsupportedModelError(
            f"expected a whole model saved with model.save('name.keras'), got {path} ({err}); weights alone, "
            "a SavedModel folder or another framework's file will not do"
        ) from err


def _keras_version(path: Path) -> str:
    """Read which Keras saved a file; empty where it does not say."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        with h5py.File(path) as file:
            version = file.attrs["keras_version"]
            return version.decode() if isinstance(version, bytes) else str(version)
    except (KeyError, TypeError, ValueError):
        return ""


def _names_keras_2(config: Any) -> bool:
    """Tell whether a config has objects that are in Keras 2 alone."""
    modules = (each.get("module") for each in _objects(config))
    return any(isinstance(module, str) and _KERAS_2.match(module) for module in modules)


def _of_earlier_keras(path: Path, version: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"expected a model that Keras {keras.__version__} can load, got {path}, which Keras {version} saved and it "
        f"cannot build; build the same network in Keras 3, give it the weights with model.load_weights({path.name!r}) "
        "and save it with model.save('name.keras')"
    )


def _require_suffix(path: Path) -> None:
    """Refuse a name by which Keras would look for another kind of file than this is."""
    kind = "ZIP" if zipfile.is_zipfile(path) else "HDF5"
    if not path.name.endswith(_SUFFIXES[kind]):
        suffix = _SUFFIXES[kind][0]
        raise UnsupportedModelError(
            f"expected a name that ends in {suffix} for a model in {kind} format, as {path} is; rename it to "
            f"{path.stem}{suffix}"
        )


def _custom_objects(config: Any) -> Iterator[tuple[str, str | None]]:
    """Yield name and module of everything in a config that is not Keras' own; code in the file has no module."""
    for each in _objects(config):
        name, module = each["class_name"], each.get("module")
        if name in ("Lambda", "__lambda__"):
            yield name, None
        elif isinstance(name, str) and isinstance(module, str) and not _is_keras(module):
            yield each.get("registered_name") or name, f"{module}:{name}"


def _unknown_functions(config: Any) -> Iterator[str]:
    """Yield the functions of a config that neither are Keras' own nor were registered by what has been imported."""
    for each in _objects(config):
        name = each.get("config")
        if each["class_name"] == "function" and isinstance(name, str) and not _is_known(name):
            yield name


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield whatever in a config is to become an object."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from _objects(item)


def _is_known(function: str) -> bool:
    """Tell whether Keras finds a function by its name."""
    own = (keras.activations, keras.initializers, keras.losses, keras.metrics, keras.regularizers)
    return (
        any(hasattr(module, function) for module in own)
        or keras.saving.get_registered_object(function) is not None
    )


def _is_keras(module: str) -> bool:
    return module == "builtins" or module.partition(".")[0] == "keras"


def _find(name: str, place: str) -> Any:
    """Import a class or function that a trusted file names."""
    module, attribute = place.split(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as err:
        raise UnsupportedModelError(
            f"expected {name} in the Python module {module!r}, as the file says, got: {err}; "
            "put its source where Python finds it (PYTHONPATH)"
        ) from err
