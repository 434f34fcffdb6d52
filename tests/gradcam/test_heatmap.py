"""Check that a heatmap lies where the network looked."""

import numpy as np
import pytest
from numpy.typing import NDArray

from gradcam.heatmap import Heat
from gradcam.placement import Placement, ResizeMode, place


def whole(
    activation_map: NDArray[np.float32],
    size: tuple[int, int],
    scale: float = 1.0,
    ceiling: float = 1.0,
) -> NDArray[np.float32]:
    """Spread a map over a whole image."""
    return Heat(
        activation_map,
        placement=Placement(0, 0, *size),
        image_size=size,
        display_size=size,
        scale=scale,
        ceiling=ceiling,
    ).whole()


def test_cells_are_interpolated_between_their_centres() -> None:
    heat = whole(np.array([[0, 4]], np.float32), (8, 1), scale=4)

    # Centres of the two cells lie at pixel coordinates 2 and 6; those of the pixels at 0.5, 1.5, ...
    np.testing.assert_allclose(heat, np.array([[0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]]))
    assert heat.dtype == np.float32


def test_rows_are_interpolated_like_columns() -> None:
    activation_map = np.array([[0, 4], [2, 2], [1, 3]], np.float32)

    np.testing.assert_allclose(
        whole(activation_map, (10, 17), scale=4),
        whole(activation_map.T, (17, 10), scale=4).T,
        rtol=1e-6,
    )


def test_a_map_as_large_as_the_image_is_only_scaled_and_clipped() -> None:
    heat = whole(np.array([[-1, 0], [1, 3]], np.float32), (2, 2), scale=2)

    np.testing.assert_allclose(heat, np.array([[0, 0], [0.5, 1]]))


def test_heat_ends_at_the_ceiling() -> None:
    heat = whole(np.array([[1, 9]], np.float32), (2, 1), scale=10, ceiling=0.4)

    np.testing.assert_allclose(heat, [[0.1, 0.4]])


def test_a_weaker_map_gives_less_heat_at_the_same_scale() -> None:
    strong = np.array([[0, 8], [4, 2]], np.float32)

    np.testing.assert_allclose(
        whole(strong * np.float32(0.25), (9, 5), scale=8), whole(strong, (9, 5), scale=8) / 4
    )


def test_evidence_far_above_the_scale_stays_at_the_ceiling() -> None:
    placement = Placement(0, 0, 9, 9)
    sizes = {"image_size": (9, 9), "display_size": (9, 9)}
    peak = np.zeros((3, 3), np.float32)
    for evidence in (250.0, 257.0, 300.0, 1e6, 1e30):
        peak[1, 1] = evidence
        levels = Heat(peak, placement=placement, scale=1, ceiling=0.4, **sizes).levels(0, 9)
        assert levels[4, 4] == levels.max() == 102


@pytest.mark.parametrize("level", [0.0, -3.0])
def test_a_map_without_positive_evidence_gives_zeros(level: float) -> None:
    heat = whole(np.full((7, 7), level, np.float32), (40, 30))

    assert heat.shape == (30, 40)
    assert not heat.any()


CORNERS = [(0, 0), (0, 4), (2, 0), (2, 4), (1, 3)]


@pytest.mark.parametrize("cell", CORNERS)
@pytest.mark.parametrize("image_size", [(300, 200), (200, 300), (256, 256), (61, 47)])
@pytest.mark.parametrize("display_size", [(150, 130), (90, 210)])
@pytest.mark.parametrize("mode", ["squash", "crop"])
def test_a_planted_cell_is_hot_at_its_place_on_the_image(
    cell: tuple[int, int],
    image_size: tuple[int, int],
    display_size: tuple[int, int],
    mode: ResizeMode,
) -> None:
    row, column = cell
    planted = np.zeros((3, 5), np.float32)
    planted[row, column] = 1
    placement = place(mode, image_size, (224, 224))

    heat = Heat(
        planted,
        placement=placement,
        image_size=image_size,
        display_size=display_size,
        scale=1.0,
    ).whole()

    centre_x = placement.x + (column + 0.5) / 5 * placement.width
    centre_y = placement.y + (row + 0.5) / 3 * placement.height
    shown_x = int(centre_x * display_size[0] / image_size[0])
    shown_y = int(centre_y * display_size[1] / image_size[1])
    assert heat[shown_y, shown_x] >= heat.max() - 0.05
    assert heat.max() > 0.9
    assert _centroid_lies_in_cell(heat, cell, placement, image_size)


def _centroid_lies_in_cell(
    heat: NDArray[np.float32],
    cell: tuple[int, int],
    placement: Placement,
    image_size: tuple[int, int],
) -> bool:
    """Tell whether the hottest half of the heat is centred in the planted cell."""
    rows, columns = np.nonzero(heat > 0.5)
    x = (columns.mean() + 0.5) / heat.shape[1] * image_size[0]
    y = (rows.mean() + 0.5) / heat.shape[0] * image_size[1]
    across = (x - placement.x) / placement.width * 5
    down = (y - placement.y) / placement.height * 3
    return int(across) == cell[1] and int(down) == cell[0]


def test_there_is_no_heat_outside_a_crop() -> None:
    heat = Heat(
        np.ones((2, 2), np.float32),
        placement=place("crop", (8, 4), (224, 224)),
        image_size=(8, 4),
        display_size=(8, 4),
        scale=1.0,
    ).whole()

    np.testing.assert_array_equal(heat, np.tile([0, 0, 1, 1, 1, 1, 0, 0], (4, 1)))


def test_the_map_is_not_changed() -> None:
    activation_map = np.array([[-1, 2]], np.float32)

    whole(activation_map, (4, 4))

    np.testing.assert_array_equal(activation_map, [[-1, 2]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        whole(np.array([[1, bad]], np.float32), (4, 4))


def test_maps_of_another_rank_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[h, w\], got shape \(1, 2, 2\)"):
        whole(np.zeros((1, 2, 2), np.float32), (4, 4))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_scales_that_mean_nothing_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale above zero"):
        whole(np.ones((2, 2), np.float32), (4, 4), scale=scale)


def heat_of(
    activation_map: NDArray[np.float32], size: tuple[int, int] = (90, 70), ceiling: float = 1.0
) -> Heat:
    return Heat(
        activation_map,
        placement=Placement(0, 0, *size),
        image_size=size,
        display_size=size,
        scale=1.0,
        ceiling=ceiling,
    )


@pytest.mark.parametrize("ceiling", [1.0, 0.4])
def test_levels_are_the_heat_in_255ths_rounded(ceiling: float) -> None:
    heat = heat_of(np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32), ceiling=ceiling)

    exact = heat.rows(0, 70) * 255.0
    levels = heat.levels(0, 70)

    assert levels.dtype == np.uint16
    assert np.abs(levels - exact).max() <= 0.5 + 1e-4
    assert levels.max() == round(255 * ceiling)
    assert levels.min() == 0


@pytest.mark.parametrize(("top", "bottom"), [(0, 70), (0, 1), (33, 34), (10, 61), (69, 70), (5, 5)])
def test_some_rows_are_those_of_the_whole(top: int, bottom: int) -> None:
    heat = heat_of(np.random.default_rng(1).normal(size=(7, 7)).astype(np.float32))

    np.testing.assert_allclose(heat.rows(top, bottom), heat.rows(0, 70)[top:bottom], atol=1e-6)
    np.testing.assert_allclose(heat.levels(top, bottom), heat.levels(0, 70)[top:bottom], atol=1)


def test_rows_wider_than_are_made_at_once_are_made_too() -> None:
    planted = np.array([[0, 1], [1, 0]], np.float32)

    wide = heat_of(planted, (70_000, 5)).rows(0, 5)

    # of both rows of cells the centres lie at 1.25 and 3.75, those of the pixels at 0.5, 1.5, ...
    np.testing.assert_allclose(wide[:, 0], [0, 0.1, 0.5, 0.9, 1], atol=1e-4)
    np.testing.assert_allclose(wide[:, -1], [1, 0.9, 0.5, 0.1, 0], atol=1e-4)


@pytest.mark.parametrize("cell", [(0, 0), (3, 2), (6, 6)])
def test_warm_rows_are_all_that_have_heat(cell: tuple[int, int]) -> None:
    planted = np.zeros((7, 7), np.float32)
    planted[cell] = 1

    heat = heat_of(planted)

    rows = np.flatnonzero(heat.rows(0, 70).max(axis=1))
    assert heat.warm == (rows[0], rows[-1] + 1)
    assert heat_of(np.zeros((7, 7), np.float32)).warm == (0, 0)


def test_rows_outside_of_what_the_network_saw_have_no_heat() -> None:
    heat = Heat(
        np.ones((7, 7), np.float32),
        placement=Placement(10, 20, 60, 30),
        image_size=(90, 70),
        display_size=(90, 70),
        scale=1.0,
    )

    whole = heat.rows(0, 70)
    assert heat.warm == (20, 50)
    assert (whole[20:50, 10:70] == 1).all()
    assert whole.sum() == 30 * 60
