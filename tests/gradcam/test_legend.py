"""Check what stands below a radiograph."""

import numpy as np
import pytest

from gradcam import wording
from gradcam.legend import colour_bar, legend_lines, scale_line
from gradcam.plan import plan
from gradcam.wording import Wording

LAYOUT = plan(
    (1024, 1024),
    max_size=1024,
    font_size=40,
    wording=Wording(("Mass",), warnings=("Weights are untrained.", "Lateral views are unknown.")),
)


@pytest.mark.parametrize(
    ("finding", "sentence"), [(True, wording.EVIDENCE), (False, wording.PALE_EVIDENCE)]
)
def test_the_legend_tells_what_colours_mean_and_how_far_to_trust_them(
    finding: bool, sentence: str
) -> None:
    lines = [scale_line(LAYOUT, 4.24), *legend_lines(LAYOUT, finding)]

    assert [(line.text, line.size) for line in lines] == [
        ("4.2", 20),
        ("0", 20),
        (sentence, 20),
        ("Not for clinical use", 40),
        ("Weights are untrained.", 20),
        ("Lateral views are unknown.", 20),
    ]


def test_the_colour_bar_ends_at_the_ceiling() -> None:
    full = np.asarray(colour_bar(LAYOUT, 1.0)).astype(int)
    weak = np.asarray(colour_bar(LAYOUT, 0.4)).astype(int)

    below = int(0.39 * LAYOUT.bar.width)
    np.testing.assert_array_equal(weak[:, :below], full[:, :below])
    np.testing.assert_array_equal(weak[:, -1], weak[:, LAYOUT.bar.width // 2])
    assert (full[:, -1] != weak[:, -1]).any()
