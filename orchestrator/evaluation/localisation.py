"""Measure whether an activation map points at a box, and how often a map that knows nothing would.

Pointing game: Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gradcam.heatmap import Heat
from gradcam.placement import Placement, Size
from orchestrator.evaluation.metrics import Floats

GRID: Final = (
    128  # pixels a side on which regions are compared; both sides of the image scaled to it
)
REGION_LEVEL: Final = 0.5  # a map's region is where its heat is at least this share of its peak


@dataclass(frozen=True)
class Box:
    """Bound a finding in pixels of the upright image; ``where`` says whose box it is and where that is written."""

    x: float
    y: float
    width: float
    height: float
    where: str = field(default="", compare=False, kw_only=True)

    def outside(self, image_size: Size) -> bool:
        """Tell whether no part of it lies in an image of this width and height."""
        across = self.x < image_size[0] and self.x + self.width > 0
        down = self.y < image_size[1] and self.y + self.height > 0
        return not (across and down)


@dataclass(frozen=True)
class Pointing:
    """Say how one map, or the mean of several, agrees with the true boxes; ``*_chance`` is what a random one would.

    Attributes:
        overlap: The strongest cell touches a true box; of several equally strong ones, the share that do.
        center: Its centre lies in one.
        within: All of it lies in one.
        iou: Intersection over union of the map's region and the boxes; by chance, of the same region shifted anywhere.
    """

    overlap: float
    overlap_chance: float
    center: float
    center_chance: float
    within: float
    within_chance: float
    iou: float
    iou_chance: float


def point(
    activation_map: Floats, boxes: Sequence[Box], placement: Placement, image_size: Size
) -> Pointing:
    """Compare one map with the true boxes of its label.

    Equally strong cells share the hit, so that a flat map gets what chance gives, wherever the boxes are.

    Args:
        activation_map: ``[h, w]`` in logits, not rectified.
        boxes: At least one.
        placement: Part of the image that the map covers.
        image_size: Width and height of the upright image, in pixels.
    """
    tests = cell_tests(activation_map.shape, boxes, placement)
    strongest = activation_map == activation_map.max()
    hits = [float(test[strongest].mean()) for test in tests]
    chances = [float(test.mean()) for test in tests]
    found = region(activation_map, placement, image_size)
    truth = covered(boxes, image_size)
    return Pointing(
        hits[0],
        chances[0],
        hits[1],
        chances[1],
        hits[2],
        chances[2],
        iou(found, truth),
        shifted_iou(found, truth),
    )


def mean_pointing(cases: Sequence[Pointing]) -> Pointing:
    """Average over images."""
    names = Pointing.__dataclass_fields__
    return Pointing(
        **{name: float(np.mean([getattr(case, name) for case in cases])) for name in names}
    )


def cell_tests(
    shape: tuple[int, ...], boxes: Sequence[Box], placement: Placement
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell of every cell ``[h, w]`` whether it touches a box, has its centre in one, lies wholly in one.

    Args:
        shape: Height and width of the map, in cells.
        boxes: In pixels of the image.
        placement: Part of the image that the cells cover.
    """
    rows = placement.y + np.arange(shape[0] + 1) * placement.height / shape[0]
    columns = placement.x + np.arange(shape[1] + 1) * placement.width / shape[1]
    touches, centers, within = (np.zeros(shape, np.bool_) for _ in range(3))
    for box in boxes:
        down = _interval_tests(rows, box.y, box.y + box.height)
        across = _interval_tests(columns, box.x, box.x + box.width)
        for whole, one, other in zip((touches, centers, within), down, across, strict=True):
            np.logical_or(whole, one[:, None] & other[None, :], out=whole)
    return touches, centers, within


def _interval_tests(
    edges: NDArray[np.float64], start: float, stop: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    lower, upper = edges[:-1], edges[1:]
    middle = (lower + upper) / 2.0
    return (
        (lower < stop) & (upper > start),
        (middle >= start) & (middle < stop),
        (lower >= start) & (upper <= stop),
    )


def region(activation_map: Floats, placement: Placement, image_size: Size) -> NDArray[np.bool_]:
    """Find where a map is at least half as strong as at its peak, on the grid ``[GRID, GRID]`` over the image.

    A map without positive evidence has no region.
    """
    peak = float(activation_map.max())
    if peak <= 0:
        return np.zeros((GRID, GRID), np.bool_)
    heat = Heat(
        activation_map,
        placement=placement,
        image_size=image_size,
        display_size=(GRID, GRID),
        scale=peak,
    ).whole()
    return heat >= REGION_LEVEL


def covered(boxes: Sequence[Box], image_size: Size) -> NDArray[np.bool_]:
    """Mark the grid's points ``[GRID, GRID]`` that lie in a box."""
    columns = (np.arange(GRID) + 0.5) * image_size[0] / GRID
    rows = (np.arange(GRID) + 0.5) * image_size[1] / GRID
    marked = np.zeros((GRID, GRID), np.bool_)
    for box in boxes:
        down = (rows >= box.y) & (rows < box.y + box.height)
        across = (columns >= box.x) & (columns < box.x + box.width)
        marked |= down[:, None] & across[None, :]
    return marked


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Divide the intersection of two regions by their union; 0 if both are empty."""
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 0.0


def shifted_iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Average the intersection over union over every shift of the found region, wrapping around the edges."""
    total = int(found.sum()) + int(truth.sum())
    if not total:
        return 0.0
    spectrum: NDArray[Any] = np.fft.rfft2(found) * np.conj(np.fft.rfft2(truth))
    shared = np.clip(np.round(np.fft.irfft2(spectrum, found.shape)), 0, None)
    return float(np.mean(shared / (total - shared)))
