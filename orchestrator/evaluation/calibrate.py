"""Set the thresholds of a served model on images with known labels: ``cxr calibrate``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from orchestrator.client.output import try_file
from orchestrator.evaluation.console import announce, report_failures, shared_options
from orchestrator.evaluation.gathering import (
    Answers,
    EvaluationError,
    find_images,
    gather,
    known_labels,
    truth_table,
)
from orchestrator.evaluation.metrics import rates
from orchestrator.evaluation.operating_points import Method, choose_threshold, parse_method
from orchestrator.evaluation.table import align, number
from orchestrator.evaluation.truth import Labels, TruthError, read_labels
from orchestrator.thresholds import ThresholdSet, write_thresholds

_KEPT: Final = "kept: these images don't allow another"
_UNNAMED: Final = "kept: the labels file never names it"


def _method(_: click.Context, __: click.Parameter, text: str) -> Method:
    try:
        return parse_method(text)
    except ValueError as err:
        raise click.BadParameter(str(err)) from err


@click.command()
@shared_options
@click.option(
    "--method",
    default="youden",
    show_default=True,
    callback=_method,
    help="youden, sensitivity=RATE or specificity=RATE.",
)
@click.option(
    "--output",
    required=True,
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="File to write, .json.",
)
def calibrate(
    folder: Path, labels: Path, server: str, jobs: int, timeout: float, method: Method, output: Path
) -> None:
    """Choose a threshold per label for the model at --server, on the images in FOLDER.

    The file is bound to the model that answered: serving refuses it for any other. Name it in the
    setting THRESHOLDS. Use images that the model was not trained on and that no evaluation uses.
    """
    try_file(output)
    try:
        truth = read_labels(labels)
        images = find_images(folder, truth)
        announce(len(images), len(truth))
        answers = gather(images, server, jobs=jobs, timeout=timeout)
        chosen = choose(answers, truth, method)
    except (EvaluationError, TruthError) as err:
        raise click.ClickException(str(err)) from err
    click.echo(_table(answers, truth, chosen))
    try:
        write_thresholds(output, threshold_set(answers, chosen, method))
    except OSError as err:
        raise click.ClickException(
            f"expected a file that can be written, got {output}: {err.strerror}"
        ) from err
    click.echo(f"Wrote {output}; serve with THRESHOLDS={output}")
    report_failures(answers.failures)


def choose(answers: Answers, labels: Labels, method: Method) -> dict[str, float | None]:
    """Choose a threshold for every label of the model; None where the images don't allow it.

    Raises:
        EvaluationError: The model knows none of the labels, or the images allow a threshold for none.
    """
    known = known_labels(answers, labels)
    truth = truth_table(labels, answers.images, answers.labels)
    chosen = {
        label: choose_threshold(truth[:, index], answers.probabilities[:, index], method)
        if label in known
        else None
        for index, label in enumerate(answers.labels)
    }
    if all(value is None for value in chosen.values()):
        raise EvaluationError(
            "expected a label that some of the images have and others don't, and for which a threshold does what is"
            " asked, got none; every threshold would stay as it is"
        )
    return chosen


def threshold_set(
    answers: Answers, chosen: Mapping[str, float | None], method: Method
) -> ThresholdSet:
    """Bind the thresholds to the model; a label without one keeps the threshold that it was served with."""
    served = dict(zip(answers.labels, answers.thresholds, strict=True))
    kept = {label: served[label] if value is None else value for label, value in chosen.items()}
    return ThresholdSet(
        model_name=str(answers.model["name"]),
        card_digest=str(answers.model["card_digest"]),
        thresholds=kept,
        method=str(method),
        images=len(answers.images),
    )


def _table(answers: Answers, labels: Labels, chosen: Mapping[str, float | None]) -> str:
    named = frozenset().union(*labels.values())
    truth = truth_table(labels, answers.images, answers.labels)
    lines: list[tuple[str, ...]] = [
        ("label", "positives", "was", "threshold", "sensitivity", "specificity", "")
    ]
    for index, (label, value) in enumerate(chosen.items()):
        present, given = truth[:, index], answers.probabilities[:, index]
        served = answers.thresholds[index]
        reached = rates(present, given, served if value is None else value)
        note = "" if value is not None else _KEPT if label in named else _UNNAMED
        points = [_point(each) for each in (served, served if value is None else value)]
        figures = [number(each) for each in reached]
        lines.append((label, str(int(present.sum())), *points, *figures, note))
    unknown = sorted(named - set(answers.labels))
    return align(lines) + (f"\n\nUnknown to the model: {', '.join(unknown)}" if unknown else "")


def _point(threshold: float) -> str:
    """Write a threshold with three decimals, or with as many as keep it from looking like 0 or 1."""
    written = [f"{threshold:.{decimals}f}" for decimals in range(3, 10)]
    plain = (text for text in written if 0 < float(text) < 1)
    return written[0] if threshold in (0, 1) else next(plain, f"{threshold:g}")
