"""Check that models trained in mixed precision are exported as float32."""

from pathlib import Path

import keras
import numpy as np
import pytest

from export.errors import UnsupportedModelError
from export.load import load_model
from export.loaders import session_loader
from export.policy import compute_in_float32
from export.probes import probe_images
from export.servable import export_model
from tests.support.tiny_models import small_model

pytestmark = pytest.mark.tensorflow


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def mixed(request: pytest.FixtureRequest) -> keras.Model:
    keras.config.set_dtype_policy(request.param)
    try:
        inner = small_model()
        return keras.Sequential([inner, keras.layers.Activation("linear", dtype="float32")])
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_file_in_mixed_precision_is_loaded_and_exported_in_float32(
    mixed: keras.Model, tmp_path: Path
) -> None:
    mixed.save(tmp_path / "mixed.keras")
    loaded = load_model(tmp_path / "mixed.keras")
    pixels = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    np.testing.assert_allclose(loaded(pixels), small_model()(pixels), atol=1e-6)
    version = export_model(loaded, tmp_path / "out", preprocess="none")
    images = probe_images(2, 32, 32)
    with session_loader(version) as call:
        answer = call("gradcam", {"image": images})
    expected = loaded(np.repeat(images.astype(np.float32), 3, -1))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_a_model_in_mixed_precision_is_refused_with_the_call_that_helps(
    mixed: keras.Model, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match=r"compute_in_float32\(model\)"):
        export_model(mixed, tmp_path)
    assert compute_in_float32(mixed)
    assert not compute_in_float32(mixed)


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def unquantized(request: pytest.FixtureRequest) -> keras.Model:
    keras.config.set_dtype_policy(request.param)
    try:
        return small_model()
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_network_of_8_bit_floats_is_refused(unquantized: keras.Model, tmp_path: Path) -> None:
    unquantized.get_layer("labels").quantize("float8")
    unquantized.save(tmp_path / "float8.keras")
    for model in (unquantized, load_model(tmp_path / "float8.keras")):
        with pytest.raises(
            UnsupportedModelError, match=r"float8 in layer 'labels'.*before quantize"
        ):
            export_model(model, tmp_path, preprocess="none")


def test_a_file_of_8_bit_integers_is_exported_as_such_whatever_it_was_trained_in(
    unquantized: keras.Model, tmp_path: Path
) -> None:
    unquantized.get_layer("labels").quantize("int8")
    unquantized.save(tmp_path / "int8.keras")
    loaded = load_model(tmp_path / "int8.keras")
    assert loaded.get_layer("labels").dtype_policy.name == "int8_from_float32"
    version = export_model(loaded, tmp_path, preprocess="none")
    images = probe_images(2, 32, 32)
    with session_loader(version) as call:
        answer = call("gradcam", {"image": images})
    # Inputs and weights of the layer are rounded to a 127th of their largest.
    expected = small_model()(np.repeat(images.astype(np.float32), 3, -1))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=0.02)
