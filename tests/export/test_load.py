"""Check what may be loaded from a file, and what may not."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import keras
import numpy as np
import pytest

from export.errors import UnsupportedModelError
from export.load import load_model
from tests.support.tiny_models import small_model

pytestmark = pytest.mark.tensorflow

CUSTOM = """
import keras

@keras.saving.register_keras_serializable("ours")
class Doubling(keras.layers.Layer):
    def call(self, values):
        return values * 2
"""
SAVE = """
import keras
from doubling import Doubling

image = keras.Input((8, 8, 1))
keras.Model(image, keras.layers.GlobalAveragePooling2D()(Doubling()(image))).save("custom.keras")
"""

FUNCTIONS = """
import keras

class Halving(keras.layers.Layer):
    def call(self, values):
        return values / 2

def plain(values):
    return values * 3

@keras.saving.register_keras_serializable("ours")
def registered(values):
    return values * 3
"""
SAVE_FUNCTION = """
import keras
import functions

image = keras.Input((8, 8, 1))
values = keras.layers.Activation(functions.{name})(functions.Halving()(image))
keras.Model(image, keras.layers.GlobalAveragePooling2D()(values)).save("{name}.keras")
"""


class _OwnLoss(keras.losses.Loss):  # type: ignore[misc]
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_true - y_pred


class _OwnMetric(keras.metrics.Metric):  # type: ignore[misc]
    pass


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.hdf5"])
def test_a_file_gives_the_model_that_was_saved(name: str, tmp_path: Path) -> None:
    model = small_model()
    model.save(tmp_path / name)
    loaded = load_model(tmp_path / name)
    pixels = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_array_equal(loaded(pixels), model(pixels))


def test_code_inside_a_file_is_not_run_unless_trusted(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 1))
    doubled = keras.layers.Lambda(lambda values: values * 2, output_shape=(8, 8, 1))(image)
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(doubled)).save(tmp_path / "m.keras")

    with pytest.raises(UnsupportedModelError, match=r"code of its own: \['Lambda'.*--trust-custom"):
        load_model(tmp_path / "m.keras")
    loaded = load_model(tmp_path / "m.keras", trust_custom_objects=True)
    assert float(loaded(np.ones((1, 8, 8, 1), np.float32))[0, 0]) == 2


def test_code_that_a_file_names_is_imported_only_if_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doubling.py").write_text(CUSTOM)
    subprocess.run([sys.executable, "-c", SAVE], cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(UnsupportedModelError, match=r"\['ours>Doubling'\]"):
        load_model(tmp_path / "custom.keras")
    assert "doubling" not in sys.modules
    with pytest.raises(UnsupportedModelError, match="PYTHONPATH"):
        load_model(tmp_path / "custom.keras", trust_custom_objects=True)
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load_model(tmp_path / "custom.keras", trust_custom_objects=True)
    assert float(loaded(np.ones((1, 8, 8, 1), np.float32))[0, 0]) == 2


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": _OwnLoss()},
        {"loss": lambda expected, found: expected - found},
        {"loss": "mse", "metrics": [_OwnMetric()]},
    ],
)
def test_what_a_model_was_trained_with_is_not_loaded_and_needs_no_trust(
    compiled: dict[str, Any], tmp_path: Path
) -> None:
    model = small_model()
    model.compile("adam", **compiled)
    model.save(tmp_path / "compiled.keras")
    assert load_model(tmp_path / "compiled.keras").name == model.name


def test_a_function_of_ones_own_is_found_only_where_its_module_is_imported_with_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    for name in ("plain", "registered"):
        program = SAVE_FUNCTION.format(name=name)
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"code of its own: \['Halving'\]"):
        load_model(tmp_path / "registered.keras")
    with pytest.raises(UnsupportedModelError, match=r"names \['plain'\].*register_keras_serial"):
        load_model(tmp_path / "plain.keras", trust_custom_objects=True)
    loaded = load_model(tmp_path / "registered.keras", trust_custom_objects=True)
    assert float(loaded(np.ones((1, 8, 8, 1), np.float32))[0, 0]) == 1.5


def _save_as_keras_2(path: Path, version: Any, renamed: tuple[str, str]) -> None:
    """Save a small model, and write into the file which Keras it is of and another name of a layer or module."""
    small_model().save(path)
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["keras_version"] = version
            file.attrs["model_config"] = file.attrs["model_config"].replace(*renamed).encode()
        return
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["metadata.json"] = json.dumps({"keras_version": version}).encode()
    files["config.json"] = files["config.json"].decode().replace(*renamed).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


_SLASH = ('"conv2"', '"conv2/conv"')


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize(
    ("name", "version", "renamed"),
    [
        ("old.h5", "2.15.0", _SLASH),
        ("old.h5", np.bytes_(b"2.2.4"), _SLASH),
        ("old.keras", "2.21.0", ("keras.src.models.functional", "tf_keras.src.engine.functional")),
        ("old.keras", "2.15.0", ("keras.src.models.functional", "keras.src.engine.functional")),
        ("old.keras", "2.12.0", ("keras.src.models.functional", "keras.engine.functional")),
    ],
)
def test_a_file_of_keras_2_that_cannot_be_built_is_refused_with_the_way_that_its_weights_can_go(
    name: str, version: Any, renamed: tuple[str, str], trusted: bool, tmp_path: Path
) -> None:
    _save_as_keras_2(tmp_path / name, version, renamed)
    said = version.decode() if isinstance(version, bytes) else version
    with pytest.raises(UnsupportedModelError) as refused:
        load_model(tmp_path / name, trust_custom_objects=trusted)
    assert str(refused.value) == (
        f"expected a model that Keras {keras.__version__} can load, got {tmp_path / name}, which Keras {said} saved "
        f"and it cannot build; build the same network in Keras 3, give it the weights with model.load_weights('{name}')"
        " and save it with model.save('name.keras')"
    )
    model = small_model(seed=1)
    model.load_weights(tmp_path / name)
    np.testing.assert_array_equal(model.get_weights()[0], small_model().get_weights()[0])


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["old.h5", "old.keras"])
def test_a_file_of_keras_2_that_can_be_built_is_loaded(name: str, tmp_path: Path) -> None:
    _save_as_keras_2(tmp_path / name, "2.15.0", ('"conv2"', '"conv2_conv"'))
    assert load_model(tmp_path / name).layers[4].name == "conv2_conv"


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_file_of_keras_3_that_cannot_be_built_is_refused_with_what_keras_says(
    tmp_path: Path,
) -> None:
    _save_as_keras_2(tmp_path / "new.h5", "3.0.0", _SLASH)
    with pytest.raises(UnsupportedModelError, match=r"cannot contain character.*save it again"):
        load_model(tmp_path / "new.h5")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"gone.keras, which is not there"):
        load_model(tmp_path / "gone.keras")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("saved", "name", "right"),
    [
        ("model.h5", "mine.keras", "mine.h5"),
        ("model.h5", "mine", "mine.h5"),
        ("model.keras", "mine.h5", "mine.keras"),
        ("model.keras", "mine.v2.hdf5", "mine.v2.keras"),
    ],
)
def test_a_file_named_as_another_kind_is_refused_with_the_name_that_it_needs(
    saved: str, name: str, right: str, tmp_path: Path
) -> None:
    small_model().save(tmp_path / saved)
    (tmp_path / saved).rename(tmp_path / name)
    with pytest.raises(UnsupportedModelError, match=f"{name} is; rename it to {right}$"):
        load_model(tmp_path / name)
    (tmp_path / name).rename(tmp_path / right)
    assert load_model(tmp_path / right).name == "small"


def test_weights_alone_and_other_files_are_refused(tmp_path: Path) -> None:
    small_model().save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "text.keras").write_text("hello")
    with zipfile.ZipFile(tmp_path / "list.keras", "w") as archive:
        archive.writestr("config.json", "[]")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for name in ("w.weights.h5", "text.keras", "list.keras", "empty.h5"):
        with pytest.raises(UnsupportedModelError, match="expected a whole model"):
            load_model(tmp_path / name)
