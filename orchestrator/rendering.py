"""Draw the overlays of one view: which labels, at one scale, as files."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gradcam.encode import FORMATS, Format, encode
from gradcam.heatmap import Heat
from gradcam.jpeg import JpegWriter
from gradcam.layout import Layout
from gradcam.placement import Placement, Size
from gradcam.plan import plan
from gradcam.render import Canvas, Picture
from gradcam.scale import ceiling, shared_scale
from gradcam.wording import Caption, Wording
from orchestrator.errors import ParameterError, ResultTooLargeError
from orchestrator.resize import resized
from orchestrator.study import Options, Overlay, Prediction, ShownRadiograph
from serving.contract import NO_FINDING


@dataclass(frozen=True)
class View:
    """What a model says about one upright radiograph, ready to be drawn.

    Attributes:
        radiograph: Mode ``L``.
        placement: Where the network's input lies on it.
        predictions: One per label.
        maps: Activation maps ``[L, h, w]``, float32, in logits, in the order of the predictions.
        warnings: Sentences to write under every picture.
    """

    radiograph: Image.Image
    placement: Placement
    predictions: Sequence[Prediction]
    maps: NDArray[np.float32]
    warnings: tuple[str, ...]

    @property
    def scale(self) -> float:
        """Return the evidence, in logits, that every heatmap of this view shows at full colour."""
        findings = np.array([_is_finding(prediction) for prediction in self.predictions])
        considered = np.array([prediction.label != NO_FINDING for prediction in self.predictions])
        return shared_scale(self.maps, findings, considered)


def findings(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """Return the labels that reached their threshold, without "No Finding"."""
    return tuple(prediction.label for prediction in predictions if _is_finding(prediction))


def chosen_labels(options: Options, predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """Return the labels to draw, in the model's order.

    Raises:
        ParameterError: A label was asked for that the model doesn't have.
    """
    labels = tuple(prediction.label for prediction in predictions)
    if options.heatmaps == "none":
        return ()
    if options.heatmaps == "all":
        return labels
    if options.heatmaps == "positive":
        return findings(predictions) or _likeliest(predictions)
    return _known(options.heatmaps, labels)


def refuse_unknown(options: Options, labels: tuple[str, ...]) -> None:
    """Refuse options that ask for a label which is none of these.

    Raises:
        ParameterError: They do.
    """
    if isinstance(options.heatmaps, tuple):
        _known(options.heatmaps, labels)


def draw(
    view: View, options: Options, *, max_bytes: int, drawers: Executor | None = None
) -> tuple[Overlay, ...]:
    """Draw and encode one overlay per chosen label.

    Args:
        view: What to draw.
        options: How.
        max_bytes: Most bytes that the overlays may take together.
        drawers: Threads to draw in, which take turns; None draws in this one.

    Raises:
        ParameterError: A label was asked for that the model doesn't have, or a format that can't hold the picture.
        ResultTooLargeError: The overlays take more bytes.
    """
    labels = tuple(prediction.label for prediction in view.predictions)
    chosen = chosen_labels(options, view.predictions)
    if not chosen:
        return ()
    layout = plan(
        view.radiograph.size,
        max_size=options.max_size,
        font_size=options.font_size,
        wording=Wording(labels, warnings=view.warnings),
    )
    _refuse_too_long(layout.size, options.format)
    work = partial(_draw, view, options, layout, chosen, max_bytes)
    return drawers.submit(work).result() if drawers else work()


def show(radiograph: Image.Image, options: Options) -> ShownRadiograph:
    """Encode the radiograph itself, with nothing drawn on it, for whoever draws the heatmaps on its own.

    Raises:
        ParameterError: The format can't hold the picture.
    """
    longest = max(radiograph.size)
    factor = min(1.0, (options.max_size or longest) / longest)
    width, height = (max(1, round(side * factor)) for side in radiograph.size)
    _refuse_too_long((width, height), options.format)
    shown = resized(radiograph, (width, height))
    return ShownRadiograph(
        content=encode(shown, options.format),
        media_type=FORMATS[options.format].media_type,
        size=shown.size,
    )


def _draw(
    view: View, options: Options, layout: Layout, chosen: tuple[str, ...], max_bytes: int
) -> tuple[Overlay, ...]:
    size = (layout.radiograph.width, layout.radiograph.height)
    write = _writer(options.format)
    canvas = Canvas(resized(view.radiograph, size), layout, view.scale)
    drawn: list[Overlay] = []
    room = max_bytes
    for index, prediction in enumerate(view.predictions):
        if prediction.label in chosen:
            drawn.append(_overlay(canvas, view, index, options, write))
            room -= len(drawn[-1].content)
            if room < 0:
                raise ResultTooLargeError(
                    f"expected overlays of at most {max_bytes} bytes together, got more with {len(drawn)} of"
                    f" {len(chosen)}; ask for fewer labels, a smaller max_size, or format jpeg"
                )
    return tuple(drawn)


def _refuse_too_long(size: Size, format: Format) -> None:
    """Refuse a picture that has more pixels on a side than its file format can hold."""
    longest = FORMATS[format].longest_side
    if max(size) > longest:
        others = [name for name, kind in FORMATS.items() if max(size) <= kind.longest_side]
        raise ParameterError(
            f"format: {format} ends at {longest} pixels a side, the picture would have {size[0]} x {size[1]};"
            f" take {' or '.join(others)}, or a smaller max_size"
        )


def _writer(format: Format) -> Callable[[Picture], bytes]:
    """Return what writes the pictures of one canvas."""
    if format == "jpeg":
        return JpegWriter().write
    return lambda picture: encode(picture.image, format)


def _overlay(
    canvas: Canvas, view: View, index: int, options: Options, write: Callable[[Picture], bytes]
) -> Overlay:
    prediction = view.predictions[index]
    finding = _is_finding(prediction)
    heat = Heat(
        view.maps[index],
        placement=view.placement,
        image_size=view.radiograph.size,
        display_size=canvas.radiograph.size,
        scale=canvas.scale,
        ceiling=ceiling(finding),
    )
    caption = Caption(prediction.label, prediction.probability, prediction.threshold, finding)
    picture = canvas.draw(caption, heat)
    box = picture.radiograph
    kind = FORMATS[options.format]
    return Overlay(
        label=prediction.label,
        probability=prediction.probability,
        content=write(picture),
        media_type=kind.media_type,
        extension=kind.extension,
        size=canvas.layout.size,
        radiograph=(box.x, box.y, box.width, box.height),
    )


def _is_finding(prediction: Prediction) -> bool:
    return prediction.positive and prediction.label != NO_FINDING


def _likeliest(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    candidates = [prediction for prediction in predictions if prediction.label != NO_FINDING]
    if not candidates:
        return ()
    return (max(candidates, key=lambda prediction: prediction.probability).label,)


def _known(asked: tuple[str, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
    """Match labels whatever their case, with spaces or underscores."""
    by_key = {_key(label): label for label in labels}
    for place, name in enumerate(asked, 1):
        if _key(name) not in by_key:
            # Told by its place: what is said of a task is kept longer than its parameters are.
            raise ParameterError(
                f"heatmaps: expected 'positive', 'all' or 'none' alone, or labels out of {', '.join(labels)};"
                f" got a name that is none of them in place {place}"
            )
    return tuple(by_key[_key(name)] for name in asked)


def _key(label: str) -> str:
    return label.casefold().replace("_", " ")
