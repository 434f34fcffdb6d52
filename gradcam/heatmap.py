"""Turn an activation map into a heatmap that lies on the radiograph's pixels."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcam.placement import Placement, Size

AT_ONCE: Final = 2**16  # pixels; OpenBLAS makes a product of four times as many on one thread
FULL: Final = np.float32(255)  # the level of full heat
HALF: Final = np.float32(0.5)
_MOST_LEVEL: Final = np.float32(np.iinfo(np.uint16).max)


class Heat:
    """A heatmap whose rows are made when they are asked for, as most rows of most maps have no heat.

    The positive evidence of a map, with the resize of preprocessing undone, divided by the image's scale. The map is
    interpolated straight to the size of display, bilinearly and with half-pixel centres: cell ``j`` of ``w`` has its
    centre at ``(j + 1/2) / w`` of the placement's width. Past the outermost centres it goes on unchanged up to the
    placement's edge; outside of it heat is 0.

    Args:
        activation_map: Grad-CAM before its ReLU, ``[h, w]``, in logits.
        placement: Where the network's input lies on the radiograph.
        image_size: Width and height of the radiograph, in pixels.
        display_size: Width and height at which the radiograph is shown, in pixels.
        scale: Evidence drawn at full colour, in logits; the same for all labels of an image.
        ceiling: The most heat this label may show, in (0, 1].

    Attributes:
        size: Width and height of the heatmap, in pixels.
        warm: Its first row with heat, and the first below it without.
    """

    def __init__(
        self,
        activation_map: NDArray[np.floating],
        *,
        placement: Placement,
        image_size: Size,
        display_size: Size,
        scale: float,
        ceiling: float = 1.0,
    ) -> None:
        if activation_map.ndim != 2 or not np.isfinite(activation_map).all():
            raise ValueError(
                f"expected a finite activation map [h, w], got shape {activation_map.shape}"
                + (" with NaN or infinity" if activation_map.ndim == 2 else "")
            )
        if not (np.isfinite(scale) and scale > 0):
            raise ValueError(f"expected a scale above zero, in logits, got {scale}")
        height, width = activation_map.shape
        across = _axis(display_size[0], image_size[0], placement.x, placement.width, width)
        self._down = _axis(display_size[1], image_size[1], placement.y, placement.height, height)
        cells = (np.maximum(activation_map, 0) / scale).astype(np.float32)
        # Between the centres of two cells heat is a mean of both; below the last centre both are the last.
        self._cells = np.concatenate((cells, cells[-1:])) @ across.weights
        self._ceiling = np.float32(ceiling)
        self._is_limited = bool(cells.max() >= ceiling)
        self._is_beyond_integers = bool(cells.max() * FULL >= _MOST_LEVEL)
        self.size = display_size
        self.warm = self._find_warm()

    def _find_warm(self) -> tuple[int, int]:
        """Return the first row with heat, and the first below it without."""
        is_warm = self._cells.max(axis=1) > 0
        warm = np.flatnonzero(is_warm[:-1] | is_warm[1:]).tolist()
        if not warm:
            return 0, 0
        down = self._down
        first, last = down.starts[warm[0]], down.starts[warm[-1] + 1]
        return max(first, down.seen[0]), min(last, down.seen[1])

    def whole(self) -> NDArray[np.float32]:
        """Return all rows, float32 ``[H, W]`` in [0, ceiling]; all zeros where there is no positive evidence."""
        return self.rows(0, self.size[1])

    def rows(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Return some rows, float32 ``[bottom - top, W]`` in [0, ceiling]."""
        values = self._spread(self._cells, top, bottom)
        return np.minimum(values, self._ceiling, out=values) if self._is_limited else values

    def levels(self, top: int, bottom: int) -> NDArray[np.uint16]:
        """Return some rows in 255ths, rounded: uint16 ``[bottom - top, W]``."""
        values = self._spread(self._rounding_cells, top, bottom)
        if self._is_beyond_integers:
            np.minimum(values, _MOST_LEVEL, out=values)
        levels = values.astype(np.uint16)
        if self._is_limited:  # of integers, as that takes a tenth of the time
            np.minimum(levels, np.uint16(self._ceiling * FULL + HALF), out=levels)
        return levels

    @cached_property
    def _rounding_cells(self) -> NDArray[np.float32]:
        return self._cells * FULL + HALF

    def _spread(self, cells: NDArray[np.float32], top: int, bottom: int) -> NDArray[np.float32]:
        """Interpolate some rows between cells ``[h + 1, W]``; those without heat are zero.

        A matrix product takes a quarter of the time that a product and a sum with broadcasting take. It is made of few
        rows at a time: a large one would wake all of BLAS's threads, while other requests need the cores.
        """
        values = np.empty((bottom - top, self.size[0]), np.float32)
        band = max(1, AT_ONCE // self.size[0])
        first = min(max(top, self.warm[0]), bottom)
        last = max(first, min(bottom, self.warm[1]))
        values[: first - top] = 0
        values[last - top :] = 0
        for cell, (start, end) in enumerate(pairwise(self._down.starts)):
            for row in range(max(start, first), min(end, last), band):
                here = np.s_[row : min(row + band, end, last)]
                part = values[here.start - top : here.stop - top]
                np.matmul(self._down.shares[here], cells[cell : cell + 2], out=part)
        return values


@dataclass(frozen=True)
class _Axis:
    """Where the pixels of one axis lie between the centres of cells; images of one detector have it in common.

    Attributes:
        shares: Of each pixel, how much it takes of the cell before it and of the one after: float32 ``[shown, 2]``.
        starts: The first pixel that has each cell before it, and the end.
        seen: The first pixel that the network saw, and the first after it that it didn't.
        weights: Of each pixel, how much it takes of every cell, nothing where it was not seen: float32
            ``[cells, shown]``.
    """

    shares: NDArray[np.float32]
    starts: tuple[int, ...]
    seen: tuple[int, int]
    weights: NDArray[np.float32]


@lru_cache(maxsize=64)
def _axis(shown: int, pixels: int, start: int, length: int, cells: int) -> _Axis:
    position = ((np.arange(shown) + 0.5) * pixels / shown - start) / length  # in [0, 1] inside
    between = np.clip(position * cells - 0.5, 0, cells - 1)
    near = between.astype(np.intp)
    share = (between - near).astype(np.float32)
    shares = np.stack([1 - share, share], axis=1)
    seen = np.flatnonzero((position >= 0) & (position <= 1))
    weights = np.zeros((cells + 1, shown), np.float32)
    weights[near[seen], seen] = shares[seen, 0]
    weights[near[seen] + 1, seen] = shares[seen, 1]
    return _Axis(
        shares,
        tuple(np.searchsorted(near, np.arange(cells + 1)).tolist()),
        (int(seen[0]), int(seen[-1]) + 1) if seen.size else (0, 0),
        weights[:cells],  # the last one's share of the cell after it is 0
    )
