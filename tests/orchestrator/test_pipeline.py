import base64
import io
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from orchestrator.errors import ParameterError, ResultTooLargeError
from orchestrator.model.client import RawPrediction, Servable
from orchestrator.pipeline import analyse
from orchestrator.rendering import show
from orchestrator.study import Options
from serving.contract import NO_FINDING, ModelCard
from tests.support.cards import card
from tests.support.images import ORIENTATION, encoded, gradient, png

CARD = card(input_height=8, input_width=8)
UPLOAD = png(gradient(64, 64))
MOST_BYTES = 100_000_000


class FixedModel:
    """Answer the same probabilities for every image."""

    def __init__(self, card: ModelCard, *probabilities: float) -> None:
        self.card = card
        self.probabilities = np.array(probabilities, np.float32)

    def predict(
        self, preprocess: Callable[[ModelCard], NDArray[np.uint8]]
    ) -> tuple[Servable, RawPrediction]:
        assert preprocess(self.card).shape == (8, 8)
        maps = np.zeros((len(self.probabilities), 2, 2), np.float32)
        raw = RawPrediction(7, self.probabilities, maps)
        return Servable(7, self.card, self.card.thresholds), raw


def report(model: FixedModel, **options: Any) -> Any:
    found = analyse(
        UPLOAD, Options(**options), model, max_pixels=10_000, max_result_bytes=MOST_BYTES
    )
    return found.report.as_json()


def test_a_probability_at_its_threshold_is_positive() -> None:
    found = report(FixedModel(CARD, 0.5, 0.25))
    assert [each["positive"] for each in found["predictions"]] == [True, False]
    assert found["findings"] == ["Mass"]


def test_no_finding_is_a_label_but_never_a_finding() -> None:
    card = replace(CARD, labels=("Mass", NO_FINDING))
    found = report(FixedModel(card, 0.1, 0.9))
    assert found["predictions"][1]["positive"] is True
    assert found["findings"] == []


@pytest.mark.parametrize(("probability", "positive"), [(0.4, True), (0.6, False)])
def test_a_derived_label_follows_its_rule_and_has_no_probability(
    probability: float, positive: bool
) -> None:
    card = replace(CARD, derived={NO_FINDING: "no label reached its threshold"})
    found = report(FixedModel(card, probability, 0.1))
    assert found["derived"] == [
        {"label": NO_FINDING, "rule": "no label reached its threshold", "positive": positive}
    ]
    assert [each["label"] for each in found["predictions"]] == ["Mass", "Edema"]


def test_stages_are_announced_in_order_and_timed() -> None:
    stages: list[str] = []
    analysis = analyse(
        UPLOAD,
        Options(),
        FixedModel(CARD, 0.5, 0.5),
        max_pixels=10_000,
        max_result_bytes=MOST_BYTES,
        analysis_id="given",
        progress=stages.append,
    )
    assert stages == ["decoding", "predicting", "rendering"]
    assert list(analysis.report.timings_ms) == stages
    assert analysis.report.analysis_id == "given"
    assert [overlay.label for overlay in analysis.overlays] == ["Mass", "Edema"]


def test_too_little_memory_is_no_damage_of_the_image() -> None:
    """In a process of its own, which may take 10 MB more than it has; the image takes 30."""
    script = """
import io, resource
from PIL import Image
from orchestrator import pipeline
from orchestrator.errors import BusyError
from orchestrator.study import Options

file = io.BytesIO()
Image.new("L", (5000, 6000)).save(file, "PNG")
with open("/proc/self/statm") as figures:
    pages = int(figures.read().split()[5])
resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + 10_000_000,) * 2)
try:
    pipeline.analyse(file.getvalue(), Options(), None, max_pixels=10**8, max_result_bytes=10**8)
except BusyError as err:
    print(err, err.retry_after)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    told = "there is too little memory for the image now; try again shortly 5\n"
    assert done.stdout == told, done.stderr


def test_every_analysis_has_an_identifier_of_its_own() -> None:
    model = FixedModel(CARD, 0.5, 0.5)
    assert report(model)["analysis_id"] != report(model)["analysis_id"]


def test_the_radiograph_comes_upright_and_gray_and_no_larger_than_a_picture() -> None:
    stored = np.full((300, 600, 3), (255, 0, 0), np.uint8)  # red: luma 76
    stored[:150] = 0
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # stored turned left: its upper half is the upright image's right half
    upload = encoded(Image.fromarray(stored), "PNG", exif=exif)
    wanted = Options(radiograph=True, format="png", max_size=256, heatmaps="none")
    model = FixedModel(CARD, 0.5, 0.5)
    found = analyse(
        upload, wanted, model, max_pixels=200_000, max_result_bytes=MOST_BYTES
    ).report.as_json()["radiograph"]
    assert (found["media_type"], found["width"], found["height"]) == ("image/png", 128, 256)
    picture = Image.open(io.BytesIO(base64.b64decode(found["data"])))
    assert (picture.mode, picture.size, dict(picture.getexif())) == ("L", (128, 256), {})
    assert [picture.getpixel((x, 128)) for x in (20, 100)] == [76, 0]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"heatmaps": "all"}, r"2048 x 16\d\d\d"),
        ({"heatmaps": "none", "radiograph": True}, "2048 x 16384"),
    ],
)
def test_a_picture_longer_than_its_format_can_hold_is_refused(
    options: dict[str, Any], size: str
) -> None:
    upload = png(np.zeros((16_384, 2048), np.uint8))
    model = FixedModel(CARD, 0.5, 0.5)
    wanted = Options(format="webp", max_size=None, **options)
    with pytest.raises(ParameterError) as caught:
        analyse(upload, wanted, model, max_pixels=40_000_000, max_result_bytes=MOST_BYTES)
    assert re.fullmatch(
        rf"format: webp ends at 16383 pixels a side, the picture would have {size}; take jpeg or png, or a"
        " smaller max_size",
        caught.value.detail,
    )


def test_a_jpeg_that_is_too_long_is_refused_as_well() -> None:
    with pytest.raises(ParameterError, match=r"65500 pixels.* 65501 x 1; take png"):
        show(Image.new("L", (65_501, 1)), Options(format="jpeg", max_size=None))


def test_the_radiograph_is_left_out_unless_it_is_asked_for() -> None:
    assert "radiograph" not in report(FixedModel(CARD, 0.5, 0.25))


@pytest.mark.parametrize(("spare", "drawn"), [(0, 2), (-1, None)])
def test_overlays_take_no_more_bytes_together_than_the_limit(spare: int, drawn: int | None) -> None:
    model = FixedModel(CARD, 0.5, 0.5)
    wanted = Options(heatmaps="all", format="png")
    free = analyse(UPLOAD, wanted, model, max_pixels=10_000, max_result_bytes=MOST_BYTES)
    limit = sum(len(overlay.content) for overlay in free.overlays) + spare
    if drawn:
        found = analyse(UPLOAD, wanted, model, max_pixels=10_000, max_result_bytes=limit)
        assert len(found.overlays) == drawn
        return
    with pytest.raises(ResultTooLargeError) as caught:
        analyse(UPLOAD, wanted, model, max_pixels=10_000, max_result_bytes=limit)
    assert caught.value.detail == (
        f"expected overlays of at most {limit} bytes together, got more with 2 of 2; ask for fewer labels, a smaller"
        " max_size, or format jpeg"
    )


def test_drawers_draw_what_is_drawn_without_them_and_only_overlays_wait_for_them() -> None:
    model = FixedModel(CARD, 0.9, 0.8)
    ask = partial(analyse, UPLOAD, model=model, max_pixels=10_000, max_result_bytes=MOST_BYTES)
    free = threading.Event()
    with ThreadPoolExecutor(1) as drawers, ThreadPoolExecutor(1) as caller:
        drawers.submit(free.wait, 10)  # it draws for another request
        assert ask(Options(heatmaps="none"), drawers=drawers).overlays == ()
        waiting = caller.submit(ask, Options(), drawers=drawers)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        free.set()
        assert waiting.result(timeout=10).overlays == ask(Options()).overlays
        with pytest.raises(ResultTooLargeError):
            ask(Options(), drawers=drawers, max_result_bytes=1)
