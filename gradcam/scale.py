"""Choose what full colour means: one absolute scale, in logits, for all labels of an image.

Every heatmap of an image is divided by the same number, so that pictures can be compared and a weak
map looks weak.

- The scale is the highest cell of any *finding's* map. Findings are what the reader is shown first:
  the strongest gets the whole range, a weaker one looks weaker.
- It never falls below ``FLOOR``: maps that carry next to nothing, an untrained model's for example,
  stay pale.
- A label that is not a finding never gets a strong picture: its heat ends at ``WEAK``. Without any
  finding, the highest cell of all labels lies exactly there, so nothing is cut off. With one, higher
  cells are cut off at ``WEAK``; raising the scale instead would pale the finding for the sake of a
  picture that is seldom asked for.
- "No Finding" is not a finding, whatever its probability; its map (the whole chest, as a rule) has no
  say, and ends at ``WEAK`` too.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FLOOR: Final = (
    1.0  # Logits. If every cell of a map held this much, the odds would be multiplied by e.
)
WEAK: Final = 0.4  # The most heat that a label below its threshold may show.


def shared_scale(
    maps: NDArray[np.floating],
    findings: NDArray[np.bool_],
    considered: NDArray[np.bool_] | None = None,
) -> float:
    """Return the evidence, in logits, that is drawn at full colour in every picture of one image.

    Args:
        maps: Activation maps of all labels, ``[L, h, w]``, in logits.
        findings: Whether each label reached its threshold, ``[L]``.
        considered: Labels that may set the scale, ``[L]``; false for "No Finding". All if left out.
    """
    if maps.ndim != 3 or findings.shape != maps.shape[:1]:
        raise ValueError(
            f"expected maps [L, h, w] and findings [L], got {maps.shape} and {findings.shape}"
        )
    if not np.isfinite(maps).all():
        raise ValueError("expected finite activation maps, got NaN or infinity")
    if considered is None:
        considered = np.ones_like(findings)
    peaks = maps.max(axis=(1, 2))
    strong = peaks[findings & considered]
    if strong.size:
        return float(max(FLOOR, strong.max()))
    return float(max(FLOOR, peaks[considered].max(initial=0.0) / WEAK))


def ceiling(finding: bool) -> float:
    """Return the most heat a picture may show: 1 for a finding, ``WEAK`` for any other label."""
    return 1.0 if finding else WEAK
