"""Read and check the class names that a model answers."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from export.errors import ExportError
from serving.contract import NO_FINDING, HeatmapsKeyword


def read_labels(path: Path) -> tuple[str, ...]:
    """Read one label per line of a UTF-8 text file; blank lines and lines that begin with ``#`` are skipped.

    Raises:
        ExportError: The file cannot be read, holds no label, or holds one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise ExportError(
            f"expected a UTF-8 text file with one label per line, got {path}: {err}"
        ) from err
    labels = tuple(text for line in lines if (text := line.strip()) and not text.startswith("#"))
    if not labels:
        raise ExportError(f"expected one label per line in {path}, got none")
    repeated = [label for label, count in Counter(labels).items() if count > 1]
    if repeated:
        raise ExportError(
            f"expected labels that are all different in {path}, got {repeated} more than once"
        )
    return labels


def check_no_finding(labels: Sequence[str]) -> None:
    """Refuse a label that means "No Finding" and is spelled otherwise: it would be reported as a finding.

    Raises:
        ExportError: There is one; the message says what to write.
    """
    for label in labels:
        plain = re.sub(r"[\W_]", "", label).casefold()
        if label != NO_FINDING and plain == "nofinding":
            raise ExportError(
                f"expected the label {NO_FINDING!r} for images without a finding, got {label!r}, which would be "
                f"reported as a finding; write {NO_FINDING!r}"
            )


def check_heatmaps(labels: Sequence[str]) -> None:
    """Refuse labels that the service's parameter ``heatmaps`` would take for something else, or for each other.

    Raises:
        ExportError: There are some; the message says what that is.
    """
    keywords = get_args(HeatmapsKeyword)
    for label in labels:
        if label.strip().lower() in keywords or "," in label:
            raise ExportError(
                f"expected labels that the service's parameter heatmaps can ask for, got {label!r}: "
                f"{', '.join(keywords)} are keywords there, and a comma separates labels; rename it in the labels "
                "file, or in the card file beside the model"
            )
    plain = Counter(map(_as_asked_for, {*labels}))  # equal ones are refused elsewhere
    alike = [label for label in labels if plain[_as_asked_for(label)] > 1]
    if alike:
        raise ExportError(
            f"expected labels that the service's parameter heatmaps can tell apart, got {alike}: letter case, and "
            "underscores in place of spaces, make no difference there; rename them in the labels file, or in the card "
            "file beside the model"
        )


def _as_asked_for(label: str) -> str:
    """Return a label as the service compares it."""
    return label.casefold().replace("_", " ")


def check_count(labels: Sequence[str], outputs: int) -> None:
    """Refuse labels that do not number the model's outputs.

    Raises:
        ExportError: The two counts differ; the message gives both.
    """
    if len(labels) != outputs:
        raise ExportError(
            f"expected one label per output of the model: it has {outputs} outputs, got {len(labels)} labels; "
            f"list its {outputs} labels, in the order of its outputs, with --labels"
        )
