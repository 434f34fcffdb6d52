"""Check where the network's input lies on a radiograph."""

from typing import Any

import pytest

from gradcam.placement import Placement, place


def test_squash_takes_the_whole_image() -> None:
    assert place("squash", (300, 200), (224, 224)) == Placement(0, 0, 300, 200)


@pytest.mark.parametrize(
    ("image", "network", "expected"),
    [
        ((300, 200), (224, 224), Placement(50, 0, 200, 200)),
        ((200, 300), (224, 224), Placement(0, 50, 200, 200)),
        ((224, 224), (224, 224), Placement(0, 0, 224, 224)),
        ((400, 400), (200, 100), Placement(0, 100, 400, 200)),
        ((400, 400), (100, 200), Placement(100, 0, 200, 400)),
        ((1, 900), (224, 224), Placement(0, 450, 1, 1)),
        ((900, 100), (5, 3), Placement(367, 0, 167, 100)),  # 100 × 5/3 is 166.7
        ((6, 3), (8, 8), Placement(2, 0, 3, 3)),  # 6 // 2 - 3 // 2, as XRayCenterCrop has it
    ],
)
def test_crop_takes_the_centre_in_the_inputs_aspect_ratio(
    image: tuple[int, int], network: tuple[int, int], expected: Placement
) -> None:
    assert place("crop", image, network) == expected


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("height", range(1, 9))
@pytest.mark.parametrize("network", [(4, 4), (4, 3), (1, 5)])
def test_a_crop_lies_inside_the_image(width: int, height: int, network: tuple[int, int]) -> None:
    left, upper, right, lower = place("crop", (width, height), network).box

    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height


def test_unknown_modes_and_empty_sizes_are_refused() -> None:
    mode: Any = "pad"
    with pytest.raises(ValueError, match="'squash' or 'crop', got 'pad'"):
        place(mode, (10, 10), (4, 4))
    with pytest.raises(ValueError, match="at least one pixel"):
        place("squash", (0, 10), (4, 4))
