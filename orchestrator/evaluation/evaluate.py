"""Measure a served model on a folder of images with known labels: ``cxr evaluate``."""

import json
from pathlib import Path

import click

from orchestrator.evaluation.answers import EvaluationError, find_images, gather
from orchestrator.evaluation.console import announce, report_failures, shared_options
from orchestrator.evaluation.figures import Figures, figures
from orchestrator.evaluation.plot import as_png
from orchestrator.evaluation.table import as_table
from orchestrator.evaluation.truth import TruthError, read_boxes, read_labels
from orchestrator.output import make_folder


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
    make_folder(output)
    try:
        found = _measure(folder, labels, boxes, server, jobs, timeout)
    except (EvaluationError, TruthError) as err:
        raise click.ClickException(str(err)) from err
    table = as_table(found)
    (output / "evaluation.json").write_text(json.dumps(found.as_json(), indent=2) + "\n", "utf-8")
    (output / "evaluation.txt").write_text(table + "\n", "utf-8")
    (output / "evaluation.png").write_bytes(as_png(found))
    click.echo(table)
    click.echo(f"Wrote evaluation.json, .txt and .png in {output}")
    report_failures(found.failures)


def _measure(
    folder: Path, labels: Path, boxes: Path | None, server: str, jobs: int, timeout: float
) -> Figures:
    truth = read_labels(labels)
    places = read_boxes(boxes) if boxes else {}
    images = find_images(folder, truth)
    announce(len(images), len(truth))
    answers = gather(images, server, with_maps=places, jobs=jobs, timeout=timeout)
    return figures(answers, truth, places)
