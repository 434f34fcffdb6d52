"""Check JPEGs that are put together out of shared rows against Pillow's own of the whole picture."""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gradcam.encode import encode
from gradcam.jpeg import ROW, JpegWriter
from gradcam.overlay import Pixels, as_image

WIDTH = 50


@dataclass
class Striped:
    """A picture of noise; rows of blocks named in ``common`` come from the first picture's noise."""

    number: int
    height: int
    common: frozenset[int] = frozenset()
    drawn: list[int] = field(default_factory=list)

    def rows(self, top: int, bottom: int) -> Pixels:
        self.drawn += range(top // ROW, -(-bottom // ROW))
        return self._pixels()[top:bottom]

    def shared(self, spans: Iterable[tuple[int, int]]) -> list[str | None]:
        found = list(spans)
        assert found == [(top, min(top + ROW, self.height)) for top in range(0, self.height, ROW)]
        return ["common" if top // ROW in self.common else None for top, _ in found]

    @property
    def whole(self) -> Image.Image:
        return as_image(self._pixels()).convert("RGB")

    def _pixels(self) -> Pixels:
        own, first = _noise(self.number, self.height), _noise(0, self.height)
        for row in self.common:
            own[row * ROW : (row + 1) * ROW] = first[row * ROW : (row + 1) * ROW]
        return own


def _noise(seed: int, height: int) -> Pixels:
    found: Pixels = np.random.default_rng(seed).integers(0, 2**24, (height, WIDTH), np.uint32)
    return found


def decoded(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
        return np.asarray(image)


@pytest.mark.parametrize("height", [1, 15, 16, 17, 31, 160, 200])
def test_a_picture_of_its_own_decodes_to_what_pillow_writes(height: int) -> None:
    picture = Striped(3, height)

    file = JpegWriter().write(picture)

    np.testing.assert_array_equal(decoded(file), decoded(encode(picture.whole, "jpeg")))


@pytest.mark.parametrize("height", [160, 163])
def test_pictures_that_share_rows_decode_to_what_pillow_writes_of_each(height: int) -> None:
    writer = JpegWriter()
    for number, common in enumerate([{1, 2, 3}, {2, 3, 9}, {0, 1, 2, 3}, {9}, set(range(11))]):
        picture = Striped(number, height, frozenset(common & set(range(-(-height // ROW)))))

        file = writer.write(picture)

        expected = encode(picture.whole, "jpeg")
        np.testing.assert_array_equal(decoded(file), decoded(expected))
        # another decoder than the one that Pillow brings
        seen = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        wanted = cv2.imdecode(np.frombuffer(expected, np.uint8), cv2.IMREAD_COLOR)
        assert seen is not None
        np.testing.assert_array_equal(seen, wanted)


def test_shared_rows_are_drawn_once() -> None:
    writer = JpegWriter()
    first = Striped(0, 160, frozenset({1, 2, 3, 7}))
    second = Striped(1, 160, frozenset({2, 3, 7, 9}))

    writer.write(first)
    writer.write(second)

    assert first.drawn == list(range(10))
    assert second.drawn == [0, 1, 4, 5, 6, 8, 9]


def test_a_picture_all_of_whose_rows_are_known_is_not_drawn() -> None:
    writer = JpegWriter()
    whole = frozenset(range(5))
    writer.write(Striped(0, 80, whole))
    again = Striped(4, 80, whole)

    file = writer.write(again)

    assert again.drawn == []
    np.testing.assert_array_equal(decoded(file), decoded(encode(again.whole, "jpeg")))


def test_restart_markers_count_from_0_to_7_over_and_over() -> None:
    file = JpegWriter().write(Striped(0, 20 * ROW))

    markers = [found[1] - 0xD0 for found in re.findall(rb"\xff[\xd0-\xd7]", file)]

    assert markers == [number % 8 for number in range(19)]


def test_nothing_but_pixels_is_in_the_file() -> None:
    file = JpegWriter().write(Striped(0, 40))

    with Image.open(io.BytesIO(file)) as image:
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert not image.getexif()
