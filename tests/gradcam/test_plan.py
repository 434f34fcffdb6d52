"""Check that every picture keeps within its bounds, and its texts within theirs."""

from itertools import combinations

import pytest

from gradcam.annotate import caption_lines
from gradcam.layout import Layout
from gradcam.legend import legend_lines, scale_line
from gradcam.plan import FONT_SIZES, NARROWEST, SHARE, SMALLEST_LIMIT, STRIPS, plan
from gradcam.text import Line
from gradcam.wording import Caption, Wording

FINDINGS = ("Cardiomegaly", "Mass", "Pleural_Thickening", "No Finding")
WARNINGS = (
    "The weights of this model are untrained: its probabilities and heatmaps are random and say"
    " nothing about the image.",
    "Lateral views were not part of the training data.",
)
PLAIN = Wording(FINDINGS)
WORDY = Wording(
    (*FINDINGS, "Pneumonoultramicroscopicsilicovolcanoconiosis_of_the_left_lower_lobe_" * 3),
    WARNINGS,
)
SIZES = [
    (64, 64),
    (64, 3000),
    (3000, 64),
    (500, 400),
    (1024, 1024),
    (3000, 2400),
    (2048, 2500),
    (1, 1),
]


def lines(layout: Layout, wording: Wording) -> list[list[Line]]:
    """Place the texts of every picture that a layout serves."""
    return [
        [
            *caption_lines(Caption(label, probability, 0.5, finding), layout),
            scale_line(layout, scale),
            *legend_lines(layout, finding),
        ]
        for label in wording.labels
        for probability, finding, scale in [(0.99999, True, 1.0), (0.49996, False, 9999.0)]
    ]


@pytest.mark.parametrize("wording", [PLAIN, WORDY], ids=["plain", "wordy"])
@pytest.mark.parametrize("font_size", [8, 40, 200])
@pytest.mark.parametrize("max_size", [256, 1024, None])
@pytest.mark.parametrize("size", SIZES)
def test_texts_neither_overlap_nor_leave_their_strips(
    size: tuple[int, int], max_size: int | None, font_size: int, wording: Wording
) -> None:
    layout = plan(size, max_size=max_size, font_size=font_size, wording=wording)

    radiograph = layout.radiograph
    for picture in lines(layout, wording):
        for line in picture:
            left, upper, right, lower = line.box
            assert layout.pad <= left < right <= layout.size[0] - layout.pad
            assert 0 <= upper < lower <= layout.size[1]
            assert lower <= radiograph.y or upper >= layout.bar.y + layout.bar.height
        for one, other in combinations(picture, 2):
            assert not _overlap(one.box, other.box), (one, other)
    assert layout.bar.y >= radiograph.y + radiograph.height


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("font_size", [8, 40, 200])
@pytest.mark.parametrize("max_size", [300, 1024])
@pytest.mark.parametrize("size", SIZES)
def test_the_whole_picture_keeps_within_max_size(
    size: tuple[int, int], max_size: int, font_size: int
) -> None:
    layout = plan(size, max_size=max_size, font_size=font_size, wording=PLAIN)

    assert max(layout.size) <= max_size
    assert layout.radiograph.width <= size[0]
    assert layout.radiograph.height <= size[1]


@pytest.mark.parametrize("size", SIZES)
def test_original_keeps_every_pixel(size: tuple[int, int]) -> None:
    layout = plan(size, max_size=None, font_size=40, wording=PLAIN)

    assert (layout.radiograph.width, layout.radiograph.height) == size
    assert layout.size[0] == max(size[0], NARROWEST)


@pytest.mark.parametrize("size", [(1024, 1024), (1000, 700), (700, 1000), (3000, 2400)])
def test_the_aspect_ratio_is_kept(size: tuple[int, int]) -> None:
    shown = plan(size, max_size=800, font_size=40, wording=PLAIN).radiograph

    assert shown.width / shown.height == pytest.approx(size[0] / size[1], abs=0.003)


def test_a_small_radiograph_stands_in_the_middle_of_a_readable_picture() -> None:
    layout = plan((64, 64), max_size=1024, font_size=40, wording=PLAIN)

    assert (layout.radiograph.width, layout.radiograph.height) == (64, 64)
    assert layout.radiograph.x == (NARROWEST - 64) // 2
    assert layout.font_size >= 20


@pytest.mark.parametrize("font_size", [8, 16, 40])
def test_the_font_size_asked_for_is_used_where_there_is_room(font_size: int) -> None:
    layout = plan((1024, 1024), max_size=1024, font_size=font_size, wording=PLAIN)

    assert layout.font_size == font_size
    for picture in lines(layout, PLAIN):
        sizes = {line.text: line.size for line in picture}
        assert sizes["Not for clinical use"] == font_size
        assert font_size in {sizes.get("> 0.99"), sizes.get("0.4999")}


@pytest.mark.parametrize("font_size", [60, 120, 200])
@pytest.mark.parametrize("max_size", [512, 1024, None])
def test_large_text_leaves_the_radiograph_its_share(font_size: int, max_size: int | None) -> None:
    layout = plan((900, 900), max_size=max_size, font_size=font_size, wording=PLAIN)

    strips = layout.size[1] - layout.radiograph.height
    assert strips <= max(STRIPS, SHARE * max(layout.size))
    assert 20 <= layout.font_size <= font_size


def test_text_is_as_large_as_its_share_allows() -> None:
    layout = plan((900, 900), max_size=None, font_size=200, wording=PLAIN)

    larger = plan((900, 900), max_size=None, font_size=layout.font_size + 1, wording=PLAIN)
    assert larger == layout


def test_everything_is_shown_even_where_it_is_too_much() -> None:
    wording = Wording(FINDINGS, warnings=("word " * 300,) * 5)

    layout = plan((1000, 1000), max_size=256, font_size=40, wording=wording)

    assert layout.font_size == FONT_SIZES[0]
    assert " ".join(layout.warnings).split() == ["word"] * 1500
    assert layout.radiograph.height >= 16


def test_one_layout_serves_all_labels_whichever_are_drawn() -> None:
    layout = plan((700, 900), max_size=800, font_size=40, wording=PLAIN)

    for label in FINDINGS:
        title = caption_lines(Caption(label, 0.9, 0.5, True), layout)
        assert {line.y for line in title if line.size == layout.small} == {layout.status_y}


@pytest.mark.parametrize(
    ("size", "max_size", "font_size", "message"),
    [
        ((10, 10), 1024, 7, "font size from 8 to 200 pixels, got 7"),
        ((10, 10), 1024, 201, "font size from 8 to 200 pixels, got 201"),
        ((10, 10), SMALLEST_LIMIT - 1, 40, "max_size of 256 or more, got 255"),
        ((0, 10), 1024, 40, "at least one pixel"),
    ],
)
def test_sizes_out_of_range_are_refused(
    size: tuple[int, int], max_size: int, font_size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan(size, max_size=max_size, font_size=font_size, wording=PLAIN)
