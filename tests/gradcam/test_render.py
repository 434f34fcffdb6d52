"""Check finished pictures: heat, radiograph and texts in their places."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gradcam.encode import encode
from gradcam.heatmap import Heat
from gradcam.jpeg import JpegWriter
from gradcam.overlay import overlay
from gradcam.placement import Placement, ResizeMode, place
from gradcam.plan import plan
from gradcam.render import Canvas, Picture
from gradcam.scale import WEAK, ceiling
from gradcam.wording import Caption, Wording
from tests.support.images import nih_files

LUMA = np.array([0.299, 0.587, 0.114])
WORDING = Wording(("Mass", "Pleural_Thickening"), warnings=("Demonstration weights.",))


def picture_of(
    radiograph: Image.Image,
    activation_map: NDArray[np.float32],
    *,
    mode: ResizeMode = "squash",
    finding: bool = True,
    scale: float = 1.0,
    max_size: int | None = None,
    font_size: int = 24,
) -> Picture:
    """Draw one map over a radiograph, from start to end."""
    layout = plan(radiograph.size, max_size=max_size, font_size=font_size, wording=WORDING)
    size = (layout.radiograph.width, layout.radiograph.height)
    heat = Heat(
        activation_map,
        placement=place(mode, radiograph.size, (224, 224)),
        image_size=radiograph.size,
        display_size=size,
        scale=scale,
        ceiling=ceiling(finding),
    )
    canvas = Canvas(radiograph.resize(size), layout, scale)
    return canvas.draw(Caption("Mass", 0.7 if finding else 0.3, 0.5, finding), heat)


def heat_of(activation_map: NDArray[np.float32], size: tuple[int, int]) -> Heat:
    """Spread a map over a whole image, at its own size."""
    return Heat(
        activation_map,
        placement=place("squash", size, (224, 224)),
        image_size=size,
        display_size=size,
        scale=1.0,
    )


def cold(size: tuple[int, int]) -> Heat:
    return heat_of(np.zeros((7, 7), np.float32), size)


def radiograph_in(picture: Picture) -> NDArray[np.int_]:
    """Cut the radiograph out of a picture, ``[H, W, 3]``."""
    box = picture.radiograph
    cut = picture.image.crop((box.x, box.y, box.x + box.width, box.y + box.height))
    return np.asarray(cut).astype(int)


def noise(width: int, height: int) -> Image.Image:
    gray = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    return Image.fromarray(gray)


@pytest.mark.parametrize("size", [(64, 64), (400, 300), (301, 503), (1500, 90)])
def test_a_picture_without_heat_holds_the_radiograph_bit_for_bit(size: tuple[int, int]) -> None:
    radiograph = noise(*size)

    picture = picture_of(radiograph, np.zeros((7, 7), np.float32))

    expected = np.asarray(radiograph)[..., None].repeat(3, axis=2)
    np.testing.assert_array_equal(radiograph_in(picture), expected)


@pytest.mark.parametrize("mode", ["squash", "crop"])
@pytest.mark.parametrize("size", [(600, 400), (400, 600)])
@pytest.mark.parametrize("cell", [(0, 0), (0, 6), (6, 0), (6, 6), (2, 5)])
def test_the_hot_spot_lies_over_the_planted_cell(
    cell: tuple[int, int], size: tuple[int, int], mode: ResizeMode
) -> None:
    planted = np.zeros((7, 7), np.float32)
    planted[cell] = 1

    picture = picture_of(Image.new("L", size, 90), planted, mode=mode, max_size=512)

    changed = np.abs(radiograph_in(picture) - 90).sum(axis=2)
    rows, columns = np.nonzero(changed > 0.7 * changed.max())
    placement = place(mode, size, (224, 224))
    shrink = picture.radiograph.width / size[0]
    x = ((columns.mean() + 0.5) / shrink - placement.x) / placement.width
    y = ((rows.mean() + 0.5) / shrink - placement.y) / placement.height
    assert (int(y * 7), int(x * 7)) == cell


def test_a_label_that_is_no_finding_never_gets_a_strong_picture() -> None:
    blank = Image.new("L", (300, 300), 90)
    overwhelming = np.full((7, 7), 50, np.float32)

    strong = np.abs(radiograph_in(picture_of(blank, overwhelming)) - 90).sum(axis=2)
    weak = np.abs(radiograph_in(picture_of(blank, overwhelming, finding=False)) - 90).sum(axis=2)

    assert weak.max() < 0.5 * strong.min()


@pytest.mark.parametrize("finding", [True, False])
def test_the_colour_bar_shows_heat_as_the_picture_does(finding: bool) -> None:
    layout = plan((500, 400), max_size=None, font_size=24, wording=WORDING)
    canvas = Canvas(Image.new("L", (500, 400)), layout, 4.0)
    caption = Caption("Mass", 0.7 if finding else 0.3, 0.5, finding)

    image = canvas.draw(caption, cold((500, 400))).image

    bar = layout.bar
    drawn = np.asarray(image)[bar.y, bar.x : bar.x + bar.width]
    end = 1.0 if finding else WEAK
    heat = np.minimum(np.linspace(0, 1, bar.width, dtype=np.float32), np.float32(end))
    gray = Image.new("L", (bar.width, 1), int(drawn[0, 0]))
    np.testing.assert_array_equal(drawn, np.asarray(overlay(gray, heat[None]))[0])
    assert len(np.unique(drawn, axis=0)) > 40


def test_texts_are_drawn_above_and_below_and_nowhere_else() -> None:
    layout = plan((500, 400), max_size=None, font_size=24, wording=WORDING)
    canvas = Canvas(Image.new("L", (500, 400)), layout, 4.0)
    caption = Caption("Pleural_Thickening", 0.7, 0.5, True)

    image = np.asarray(canvas.draw(caption, cold((500, 400))).image)

    box = layout.radiograph
    assert image[: box.y].max() > 200
    assert image[layout.notice_y :].max() > 200
    assert not image[box.y : box.y + box.height].any()
    edges = [image[0], image[-1], image[:, 0], image[:, -1], image[box.y - 2]]
    assert not any(edge.any() for edge in edges)


def test_pictures_of_one_image_differ_in_caption_and_heat_only() -> None:
    layout = plan((300, 200), max_size=None, font_size=24, wording=WORDING)
    canvas = Canvas(noise(300, 200), layout, 4.0)
    heat = cold((300, 200))
    planted = np.zeros((4, 4), np.float32)
    planted[1, 1] = 1  # at rows 50 to 100; heat fades out over half a cell more
    hot = heat_of(planted, (300, 200))

    one = canvas.draw(Caption("Mass", 0.7, 0.5, True), heat)
    other = canvas.draw(Caption("Pleural_Thickening", 0.8, 0.5, True), hot)
    again = canvas.draw(Caption("Mass", 0.7, 0.5, True), heat)

    assert one.radiograph == other.radiograph == layout.radiograph
    difference = np.asarray(one.image) != np.asarray(other.image)
    assert not difference[layout.radiograph.y + 125 :].any()
    assert difference[: layout.radiograph.y].any()
    np.testing.assert_array_equal(np.asarray(one.image), np.asarray(again.image))


@pytest.mark.parametrize("edge", range(24, 42))
def test_jpegs_of_one_canvas_are_what_each_would_be_alone(edge: int) -> None:
    """Wherever within a row of blocks its heat begins and ends, and whatever was written before."""
    radiograph = noise(96, 128)
    layout = plan(radiograph.size, max_size=None, font_size=24, wording=WORDING)
    canvas = Canvas(radiograph, layout, 1.0)
    writer = JpegWriter()
    for name, level, finding in (
        ("Mass", 0, True),
        ("Pleural_Thickening", 1, True),
        ("Mass", 1, False),
        ("Pleural_Thickening", 0, False),
    ):
        heat = Heat(
            np.full((2, 2), level, np.float32),
            placement=Placement(0, edge, 96, 33),
            image_size=radiograph.size,
            display_size=radiograph.size,
            scale=1.0,
            ceiling=ceiling(finding),
        )
        picture = canvas.draw(Caption(name, 0.5, 0.5, finding), heat)

        file = writer.write(picture)

        with (
            Image.open(io.BytesIO(file)) as found,
            Image.open(io.BytesIO(encode(picture.image, "jpeg"))) as alone,
        ):
            np.testing.assert_array_equal(np.asarray(found), np.asarray(alone))


def test_nothing_of_the_radiographs_metadata_is_kept() -> None:
    radiograph = Image.new("L", (300, 200))
    radiograph.info["comment"] = b"name of a patient"
    layout = plan((300, 200), max_size=None, font_size=24, wording=WORDING)

    picture = Canvas(radiograph, layout, 1.0).draw(
        Caption("Mass", 0.7, 0.5, True), cold((300, 200))
    )

    assert picture.image.info == {}
    assert picture.image.mode == "RGB"


def test_a_radiograph_of_another_size_or_mode_is_refused() -> None:
    layout = plan((300, 200), max_size=None, font_size=24, wording=WORDING)

    with pytest.raises(ValueError, match=r"mode L, 300x200 pixels, got L \(200, 300\)"):
        Canvas(Image.new("L", (200, 300)), layout, 1.0)
    with pytest.raises(ValueError, match="got RGB"):
        Canvas(Image.new("RGB", (300, 200)), layout, 1.0)


@pytest.mark.parametrize("number", range(5))
def test_heat_keeps_the_anatomy_of_a_real_radiograph(number: int) -> None:
    with Image.open(nih_files()[number]) as file:
        radiograph = file.convert("L")
    planted = np.zeros((7, 7), np.float32)
    planted[3, 2] = 1

    shown = radiograph_in(picture_of(radiograph, planted, max_size=1024))
    plain = radiograph_in(picture_of(radiograph, planted * 0, max_size=1024))

    cold = np.s_[: shown.shape[0] // 4]
    hot = np.s_[
        int(0.45 * len(shown)) : int(0.55 * len(shown)),
        int(0.3 * len(shown)) : int(0.4 * len(shown)),
    ]
    np.testing.assert_array_equal(shown[cold], plain[cold])
    assert np.abs(shown[hot] - plain[hot]).mean() > 20
    detail, original = (np.diff(cut @ LUMA, axis=1).ravel() for cut in (shown[hot], plain[hot]))
    assert np.corrcoef(detail, original)[0, 1] > 0.9
