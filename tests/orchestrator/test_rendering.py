"""Check which labels of a view are drawn, at which scale, and where."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from gradcam.placement import Placement
from orchestrator.rendering import View, chosen_labels, draw
from orchestrator.study import Options, Prediction
from serving.contract import NO_FINDING

MASS = Prediction("Mass", 0.9, 0.5, True)
NO_MASS = Prediction("Mass", 0.2, 0.5, False)
NO_EDEMA = Prediction("Edema", 0.3, 0.5, False)
NOTHING = Prediction(NO_FINDING, 0.8, 0.5, True)


def view(predictions: Sequence[Prediction], peaks: Sequence[float]) -> View:
    """Return a gray view whose right half the network saw; each label's map is as high everywhere."""
    maps = np.array([np.full((2, 2), peak) for peak in peaks], np.float32)
    return View(Image.new("L", (64, 64), 90), Placement(32, 0, 32, 64), predictions, maps, ())


def test_no_finding_has_no_say_in_the_scale() -> None:
    assert view([MASS, NOTHING], [2, 50]).scale == 2
    assert view([NO_MASS, NOTHING], [2, 50]).scale == pytest.approx(5)  # 2 / 0.4


def test_without_a_finding_the_likeliest_label_is_drawn_and_never_no_finding() -> None:
    assert chosen_labels(Options(), [NO_MASS, NO_EDEMA, NOTHING]) == ("Edema",)
    assert chosen_labels(Options(), [NO_EDEMA, NO_MASS, NOTHING]) == ("Edema",)
    assert chosen_labels(Options(), [NOTHING]) == ()


def test_heat_lies_where_the_network_saw_and_is_weaker_without_a_finding() -> None:
    wanted = Options(heatmaps="all", format="png", max_size=None)
    changed = []
    for overlay in draw(view([MASS, NO_EDEMA], [2, 2]), wanted, max_bytes=10**7):
        x, y, width, height = overlay.radiograph
        assert (width, height) == (64, 64)
        with Image.open(io.BytesIO(overlay.content)) as picture:
            assert picture.size == overlay.size
            pixels = np.asarray(picture.crop((x, y, x + width, y + height))).astype(int)
        assert (pixels[:, :32] == 90).all()
        changed.append(np.abs(pixels[:, 32:] - 90).sum(axis=2))
    strong, weak = changed
    assert weak.min() > 0
    assert weak.max() < 0.5 * strong.min()
