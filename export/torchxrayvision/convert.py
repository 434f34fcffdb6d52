"""Convert a file of TorchXRayVision's weights to a Keras file and its sidecar."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from export.torchxrayvision.checkpoint import read_checkpoint
from export.torchxrayvision.errors import WeightsFileError
from export.torchxrayvision.mapping import build
from export.torchxrayvision.published import Published, by_file, by_name, published
from export.torchxrayvision.sidecar import sidecar, write_sidecar
from export.torchxrayvision.state import Checkpoint, as_checkpoint, trained


@dataclass(frozen=True)
class Converted:
    """Say what was written.

    Attributes:
        model: The Keras file.
        sidecar: What belongs on its card.
        labels: One per output.
        untrained: How many outputs were left out.
        unknown: How many labels have the threshold 0.5 because no operating point is known.
    """

    model: Path
    sidecar: Path
    labels: tuple[str, ...]
    untrained: int
    unknown: int


def convert(weights: Path, output: Path, name: str | None) -> Converted:
    """Read the weights, build the network, write both files.

    Args:
        weights: A ``*.pt`` file.
        output: The ``*.keras`` file to write, in a folder that is there.
        name: TorchXRayVision's name of the set; None to go by the file.

    Raises:
        WeightsFileError: The file was refused; nothing was written.
    """
    checkpoint = as_checkpoint(read_checkpoint(weights))
    entry = recognise(weights, name)
    if name is not None and entry is not None:
        _require_labels_of(entry, checkpoint)
    labels, thresholds = outputs(checkpoint, entry)
    kept = trained(labels, thresholds)
    _require_count(checkpoint, labels)
    model = build(checkpoint.arrays, [index for index, _, _ in kept])
    model.save(output)
    names = tuple(label for _, label, _ in kept)
    values = sidecar(
        names,
        tuple(point for _, _, point in kept),
        entry.training_data if entry else "unknown",
        {
            "file_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "set": entry.name if entry else "unknown",
        },
    )
    return Converted(
        output,
        write_sidecar(output, values),
        names,
        untrained=len(labels) - len(kept),
        unknown=sum(math.isnan(thresholds[index]) for index, _, _ in kept),
    )


def recognise(weights: Path, name: str | None) -> Published | None:
    """Find the published set by its name, else by the file's name.

    Raises:
        WeightsFileError: No set has that name.
    """
    if name is None:
        return by_file(weights.name)
    entry = by_name(name)
    if entry is None:
        known = ", ".join(each.name for each in published())
        raise WeightsFileError(f"expected --weights to be one of {known}, got {name!r}")
    return entry


def outputs(
    checkpoint: Checkpoint, entry: Published | None
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Settle labels and operating points: the file's own where it has them, else the published ones.

    Raises:
        WeightsFileError: Neither the file nor its name says what the outputs are, or which of the published sets with
            the file's labels it is.
    """
    labels = checkpoint.labels or (entry.labels if entry else None)
    if labels is None:
        known = ", ".join(each.name for each in published())
        raise WeightsFileError(
            f"expected a file that says what its outputs are, or one named as published, got neither; say "
            f"which set it is with --weights, one of {known}"
        )
    if checkpoint.thresholds is not None:
        return labels, checkpoint.thresholds
    if entry is not None and entry.labels == labels:
        return labels, entry.thresholds
    alike = ", ".join(each.name for each in published() if each.labels == labels)
    if entry is None and alike:
        raise WeightsFileError(
            f"expected a file with operating points, or one named as published, got one with the labels of {alike} "
            "alone; say which set it is with --weights"
        )
    return labels, (math.nan,) * len(labels)


def _require_labels_of(entry: Published, checkpoint: Checkpoint) -> None:
    if checkpoint.labels not in (None, entry.labels):
        raise WeightsFileError(
            f"expected --weights to name the set that the file is, got {entry.name}, whose labels are not those in the "
            "file; name the right set, or leave --weights out"
        )


def _require_count(checkpoint: Checkpoint, labels: tuple[str, ...]) -> None:
    bias = checkpoint.arrays.get("classifier.bias")
    if bias is not None and bias.shape != (len(labels),):
        raise WeightsFileError(
            f"expected one output per label ({len(labels)}), got a classifier of {bias.size}; name the right set with "
            "--weights"
        )
