"""Check resizing against Pillow, an independent implementation of the same filter."""

import numpy as np
import pytest
from PIL import Image

from orchestrator.resize import resized
from tests.support.images import nih_files


def noise(width: int, height: int) -> Image.Image:
    gray = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    return Image.fromarray(gray)


@pytest.mark.parametrize("size", [(64, 64), (100, 37), (224, 224), (999, 500), (33, 264)])
@pytest.mark.parametrize("source", [(64, 64), (500, 999), (1024, 768), (264, 33)])
def test_gray_values_are_pillows_within_one(source: tuple[int, int], size: tuple[int, int]) -> None:
    image = noise(*source)

    found = np.asarray(resized(image, size)).astype(int)

    expected = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(found - expected).max() <= 1


def test_a_radiograph_that_shares_its_memory_is_resized_too() -> None:
    pixels = np.asarray(noise(300, 200))
    pixels.flags.writeable = False

    found = np.asarray(resized(Image.fromarray(pixels), (100, 80))).astype(int)

    expected = Image.fromarray(pixels.copy()).resize((100, 80), Image.Resampling.BILINEAR)
    assert np.abs(found - np.asarray(expected).astype(int)).max() <= 1


def test_an_image_of_the_wanted_size_is_kept() -> None:
    image = noise(20, 30)

    assert resized(image, (20, 30)) is image


@pytest.mark.parametrize("number", range(5))
def test_a_real_radiograph_is_on_average_as_bright_as_before(number: int) -> None:
    with Image.open(nih_files()[number]) as file:
        image = file.convert("L")

    found = resized(image, (224, 224))

    assert np.asarray(found).mean() == pytest.approx(np.asarray(image).mean(), abs=0.3)
