"""Turn an activation map into a heatmap that lies on the radiograph's pixels."""

import math

import numpy as np
from numpy.typing import NDArray

from gradcam.placement import Placement, Size


def heatmap(
    activation_map: NDArray[np.floating],
    *,
    placement: Placement,
    image_size: Size,
    display_size: Size,
    scale: float,
    ceiling: float = 1.0,
) -> NDArray[np.float32]:
    """Keep the positive evidence, undo the resize of preprocessing, divide by the image's scale.

    The map is interpolated straight to the size of display, bilinearly and with half-pixel centres:
    cell ``j`` of ``w`` has its centre at ``(j + 1/2) / w`` of the placement's width. Past the
    outermost centres it goes on unchanged up to the placement's edge; outside of it heat is 0.

    Args:
        activation_map: Grad-CAM before its ReLU, ``[h, w]``, in logits.
        placement: Where the network's input lies on the radiograph.
        image_size: Width and height of the radiograph, in pixels.
        display_size: Width and height at which the radiograph is shown, in pixels.
        scale: Evidence drawn at full colour, in logits; the same for all labels of an image.
        ceiling: The most heat this label may show, in (0, 1].

    Returns:
        Heat ``[H, W]``, float32 in ``[0, ceiling]``; all zeros where there is no positive evidence.
    """
    if activation_map.ndim != 2 or not np.isfinite(activation_map).all():
        raise ValueError(
            f"expected a finite activation map [h, w], got shape {activation_map.shape}"
            + (" with NaN or infinity" if activation_map.ndim == 2 else "")
        )
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"expected a scale above zero, in logits, got {scale}")
    heat = (np.maximum(activation_map, 0) / scale).astype(np.float32)
    across, seen_across = _axis(
        display_size[0], image_size[0], placement.x, placement.width, heat.shape[1]
    )
    down, seen_down = _axis(
        display_size[1], image_size[1], placement.y, placement.height, heat.shape[0]
    )
    wide = np.ascontiguousarray(_interpolate(heat.T, across).T)  # in memory order, for speed
    spread = _interpolate(wide, down, float(ceiling))
    if not seen_down.all():
        spread[~seen_down] = 0
    if not seen_across.all():
        spread[:, ~seen_across] = 0
    return spread


def _axis(
    shown: int, pixels: int, start: int, length: int, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return where each shown pixel lies between cell centres, and whether the network saw it."""
    seen = ((np.arange(shown) + 0.5) * pixels / shown - start) / length  # in [0, 1] inside
    return np.clip(seen * cells - 0.5, 0, cells - 1), (seen >= 0) & (seen <= 1)


def _interpolate(
    cells: NDArray[np.float32], position: NDArray[np.float64], most: float = math.inf
) -> NDArray[np.float32]:
    """Interpolate rows ``[n, m]`` linearly at rising positions ``[k]`` in [0, n - 1], to ``[k, m]`` up to ``most``.

    As quick as a matrix product, which would wake all of BLAS's threads for half a millisecond of
    work while other requests need the cores.
    """
    near = position.astype(np.intp)
    share = (position - near)[:, None].astype(np.float32)
    step = np.diff(cells, axis=0, append=cells[-1:])
    values = np.empty((len(position), cells.shape[1]), np.float32)
    limit = np.float32(most)
    is_limited = cells.max() >= limit  # what lies between cells exceeds none of them
    starts = np.searchsorted(near, np.arange(len(cells) + 1))
    for cell, level in enumerate(cells):
        run = np.s_[starts[cell] : starts[cell + 1]]
        part = values[run]
        if not (level.any() or step[cell].any()):  # as in most rows of most maps
            part[:] = 0
            continue
        np.multiply(share[run], step[cell], out=part)
        part += level
        if is_limited:
            np.minimum(part, limit, out=part)
    return values
