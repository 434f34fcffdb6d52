"""Carry out one export as the command line asks for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.card_file import read_card_file, settle
from export.demo.servable import export_demo
from export.labels import read_labels
from export.load import load_model
from export.servable import export_model
from export.untrained import export_untrained


def run_export(
    model: Path | None,
    output: Path,
    *,
    demo: bool,
    labels: Path | None,
    seed: int,
    trust_custom_objects: bool,
    report: Callable[[str], None],
    **options: Any,
) -> Path:
    """Export a file, the demo model, or the untrained network.

    Args:
        model: A Keras file, or ``None``.
        output: The model's folder.
        demo: Without a file: the demo model rather than the untrained network.
        labels: A labels file, or ``None`` for those beside the model, and then the default ones.
        seed: Of the untrained network.
        trust_custom_objects: Whether code in the file may run.
        report: Called with a sentence as each step begins.
        options: Passed on to :func:`export.servable.export_model`; None leaves it to what stands beside the model, and
            then to that function's default.

    Returns:
        The version's directory.

    Raises:
        ExportError: Nothing was published; the message says why.
    """
    given = options | {"labels": read_labels(labels) if labels else None}
    if demo:
        return export_demo(output, report, **settle({}, given))
    if model is None:
        return export_untrained(output, seed, report, **settle({}, given))
    beside = read_card_file(model)
    settled = settle(beside, given)
    if "thresholds" in beside and "thresholds" not in settled:
        report(
            "Leaving out the thresholds beside the model, which belong to other labels; each is 0.5"
        )
    report(f"Loading {model}")
    network = load_model(model, trust_custom_objects=trust_custom_objects)
    return export_model(network, output, report=report, **settled)
