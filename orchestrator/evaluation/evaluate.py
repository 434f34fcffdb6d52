"""Measure a served model on a folder of images with known labels: ``cxr evaluate``."""

import json
from collections.abc import Container
from pathlib import Path
from typing import Final

import click

from orchestrator.client.output import try_file
from orchestrator.evaluation.console import (
    announce,
    announce_boxes,
    report_failures,
    shared_options,
)
from orchestrator.evaluation.figures import Figures, figures
from orchestrator.evaluation.gathering import EvaluationError, find_images, gather
from orchestrator.evaluation.plot import as_png
from orchestrator.evaluation.table import as_table
from orchestrator.evaluation.truth import Boxes, TruthError, read_boxes, read_labels

_FILES: Final = ("evaluation.json", "evaluation.txt", "evaluation.png")


@click.command()
@shared_options
@click.option(
    "--boxes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the columns image, label, x, y, width, height, in pixels; or JSON.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results.",
)
def evaluate(
    folder: Path,
    labels: Path,
    server: str,
    jobs: int,
    timeout: float,
    boxes: Path | None,
    output: Path,
) -> None:
    """Measure how well the model at --server reads the images in FOLDER.

    Prints AUROC, calibration error, sensitivity and specificity per label and, with --boxes, how well
    the maps point at the findings, beside what chance would give. Writes evaluation.json, .txt and .png.
    The status is 1 if any image got no answer.
    """
    for name in _FILES:
        try_file(output / name)
    try:
        found = _measure(folder, labels, boxes, server, jobs, timeout)
    except (EvaluationError, TruthError) as err:
        raise click.ClickException(str(err)) from err
    click.echo(as_table(found))
    _write(found, output)
    click.echo(f"Wrote evaluation.json, .txt and .png in {output}")
    report_failures(found.failures)


def _write(found: Figures, output: Path) -> None:
    values = json.dumps(found.as_json(), indent=2) + "\n"
    contents = (values.encode(), (as_table(found) + "\n").encode(), as_png(found))
    try:
        for name, content in zip(_FILES, contents, strict=True):
            (output / name).write_bytes(content)
    except OSError as err:
        raise click.ClickException(
            f"expected results that can be written, got {output}: {err.strerror}"
        ) from err


def _measure(
    folder: Path, labels: Path, boxes: Path | None, server: str, jobs: int, timeout: float
) -> Figures:
    truth = read_labels(labels)
    places = read_boxes(boxes) if boxes else {}
    images = find_images(folder, truth)
    announce(len(images), len(truth))
    if boxes:
        _announce_found(places, images, boxes)
    answers = gather(images, server, boxes=places, jobs=jobs, timeout=timeout)
    return figures(answers, truth, places)


def _announce_found(places: Boxes, images: Container[str], path: Path) -> None:
    counts = {image: sum(map(len, labels.values())) for image, labels in places.items()}
    named = sum(counts.values())
    present = sum(count for image, count in counts.items() if image in images)
    if named and not present:
        raise EvaluationError(
            f"expected boxes of the images found, got none among {named} in {path}; name images as the labels file does"
        )
    announce_boxes(present, named)
