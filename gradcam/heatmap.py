"""Turn an activation map into a heatmap that lies on the radiograph's pixels."""

from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gradcam.placement import Placement, Size

AT_ONCE: Final = 2**16  # pixels; OpenBLAS makes a product of four times as many on one thread
FULL: Final = np.float32(255)  # the level of full heat
HALF: Final = np.float32(0.5)


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
        cells = (np.maximum(activation_map, 0) / scale).astype(np.float32)
        across, seen_across = _axis(
            display_size[0], image_size[0], placement.x, placement.width, cells.shape[1]
        )
        down, seen_down = _axis(
            display_size[1], image_size[1], placement.y, placement.height, cells.shape[0]
        )
        # Between the centres of two cells heat is a mean of both; below the last centre both are the last.
        self._cells = np.pad(_interpolate_columns(cells, across), ((0, 1), (0, 0)), "edge")
        self._cells[:, ~seen_across] = 0
        near = down.astype(np.intp)
        share = (down - near).astype(np.float32)
        self._shares = np.stack([1 - share, share], axis=1)
        self._starts = np.searchsorted(near, np.arange(len(cells) + 1)).tolist()
        self._ceiling = np.float32(ceiling)
        self._is_limited = bool(cells.max() >= ceiling)
        self.size = display_size
        self.warm = self._find_warm(near, seen_down)

    def _find_warm(self, near: NDArray[np.intp], seen: NDArray[np.bool_]) -> tuple[int, int]:
        """Return the first row with heat, and the first below it without."""
        is_warm = self._cells.max(axis=1) > 0
        warm = np.flatnonzero(seen & (is_warm[near] | is_warm[near + 1]))
        return (int(warm[0]), int(warm[-1]) + 1) if warm.size else (0, 0)

    def whole(self) -> NDArray[np.float32]:
        """Return all rows, float32 ``[H, W]`` in [0, ceiling]; all zeros where there is no positive evidence."""
        return self.rows(0, self.size[1])

    def rows(self, top: int, bottom: int) -> NDArray[np.float32]:
        """Return some rows, float32 ``[bottom - top, W]`` in [0, ceiling]."""
        values = self._spread(self._cells, top, bottom)
        return np.minimum(values, self._ceiling, out=values) if self._is_limited else values

    def levels(self, top: int, bottom: int) -> NDArray[np.uint16]:
        """Return some rows in 255ths, rounded: uint16 ``[bottom - top, W]``."""
        levels = self._spread(self._rounding_cells, top, bottom).astype(np.uint16)
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
        values = np.zeros((bottom - top, self.size[0]), np.float32)
        band = max(1, AT_ONCE // self.size[0])
        first, last = max(top, self.warm[0]), min(bottom, self.warm[1])
        for cell, (start, end) in enumerate(pairwise(self._starts)):
            for row in range(max(start, first), min(end, last), band):
                here = np.s_[row : min(row + band, end, last)]
                part = values[here.start - top : here.stop - top]
                np.matmul(self._shares[here], cells[cell : cell + 2], out=part)
        return values


@lru_cache(maxsize=64)
def _axis(
    shown: int, pixels: int, start: int, length: int, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return where each shown pixel lies between cell centres, and whether the network saw it."""
    seen = ((np.arange(shown) + 0.5) * pixels / shown - start) / length  # in [0, 1] inside
    return np.clip(seen * cells - 0.5, 0, cells - 1), (seen >= 0) & (seen <= 1)


def _interpolate_columns(
    cells: NDArray[np.float32], position: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate cells ``[h, w]`` linearly at positions ``[k]`` in [0, w - 1] of each row, to ``[h, k]``."""
    near = position.astype(np.intp)
    share = (position - near).astype(np.float32)
    step = np.diff(cells, axis=1, append=cells[:, -1:])
    return cells[:, near] + step[:, near] * share
