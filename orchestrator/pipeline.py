"""Analyse one radiograph: decode, predict, render.

:func:`analyse` is the product. The API calls it in a thread, a worker in a job; what is true of one
is true of the other.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gradcam.placement import place
from orchestrator import rendering
from orchestrator.errors import BusyError
from orchestrator.images.radiograph import Radiograph, decode, model_input
from orchestrator.model.client import RawPrediction, Servable
from orchestrator.study import ActivationMaps, Analysis, Derived, Options, Prediction, Report
from serving.contract import NO_FINDING, ModelCard

Stage = Literal["decoding", "predicting", "rendering"]

_RETRY_AFTER: Final = 5


class Model(Protocol):
    """What the pipeline asks of a model client."""

    def predict(
        self, preprocess: Callable[[ModelCard], NDArray[np.uint8]], /
    ) -> tuple[Servable, RawPrediction]:
        """Predict the image that ``preprocess`` makes as a model card wants it."""
        ...


def analyse(
    upload: bytes,
    options: Options,
    model: Model,
    *,
    max_pixels: int,
    max_result_bytes: int,
    analysis_id: str | None = None,
    progress: Callable[[Stage], None] = lambda _: None,
    drawers: Executor | None = None,
) -> Analysis:
    """Turn an uploaded file into a report and overlays.

    Args:
        upload: The file, as it came.
        options: What to draw.
        model: Where the prediction comes from.
        max_pixels: Most pixels the image may have.
        max_result_bytes: Most bytes that its overlays may take together.
        analysis_id: Identifier to use; a random one if None.
        progress: Called with the name of each stage as it begins.
        drawers: Threads that draw overlays, in turns; None draws them in this one.

    Raises:
        RequestError: The upload or the options can't be served.
        DependencyError: The model server can't serve them now.
    """
    clock = _Clock(progress)
    with clock.stage("decoding"):
        radiograph = decode(upload, max_pixels=max_pixels)
    with clock.stage("predicting"):
        servable, raw = model.predict(lambda card: model_input(radiograph, card))
    with clock.stage("rendering"):
        view = _view(radiograph, servable, raw)
        overlays = rendering.draw(view, options, max_bytes=max_result_bytes, drawers=drawers)
        shown = rendering.show(radiograph.image, options) if options.radiograph else None
    report = Report(
        analysis_id=analysis_id or str(uuid.uuid4()),
        model_name=servable.card.name,
        model_version=servable.version,
        card_digest=servable.card.digest,
        calibration=servable.calibration,
        predictions=tuple(view.predictions),
        findings=rendering.findings(view.predictions),
        derived=_derived(servable.card, view.predictions),
        width=radiograph.size[0],
        height=radiograph.size[1],
        sha256=radiograph.sha256,
        heatmap_scale=round(view.scale, 4),
        timings_ms=clock.milliseconds,
        warnings=servable.card.warnings,
        maps=ActivationMaps(servable.card.labels, view.maps, view.placement)
        if options.maps
        else None,
        radiograph=shown,
    )
    return Analysis(report, overlays)


def _view(radiograph: Radiograph, servable: Servable, raw: RawPrediction) -> rendering.View:
    """Put the network's answer beside the labels of its card and the thresholds in force."""
    card = servable.card
    probabilities = [float(value) for value in raw.probabilities]
    predictions = [
        Prediction(label, probability, threshold, probability >= threshold)
        for label, probability, threshold in zip(
            card.labels, probabilities, servable.thresholds, strict=True
        )
    ]
    placement = place(card.resize, radiograph.size, (card.input_width, card.input_height))
    return rendering.View(
        radiograph.image, placement, predictions, raw.activation_maps, card.warnings
    )


def _derived(card: ModelCard, predictions: Sequence[Prediction]) -> tuple[Derived, ...]:
    """Return "No Finding" where the card derives it: it holds if no label reached its threshold."""
    if NO_FINDING not in card.derived:
        return ()
    positive = not rendering.findings(predictions)
    return (Derived(NO_FINDING, card.derived[NO_FINDING], positive),)


class _Clock:
    """Announce stages, time them, and tell of memory that is short in one: that is no fault of the image's."""

    def __init__(self, progress: Callable[[Stage], None]) -> None:
        self._progress = progress
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        self._progress(name)
        begin = time.perf_counter()
        try:
            yield
        except MemoryError as err:
            raise BusyError(
                "there is too little memory for the image now; try again shortly",
                retry_after=_RETRY_AFTER,
            ) from err
        self.milliseconds[name] = round(1000 * (time.perf_counter() - begin), 2)
