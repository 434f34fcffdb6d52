"""Say in words what a picture shows."""

from dataclasses import dataclass
from typing import Final

NOTICE: Final = "Not for clinical use"
PROBABILITY: Final = "probability"
EVIDENCE: Final = "evidence for this label in logits, one scale for all"
PALE_EVIDENCE: Final = "evidence for this label in logits, pale: not a finding"

# The longest that these texts get: room is set aside for them before the values are known.
LONGEST_NUMBER: Final = "> 0.9999"
LONGEST_STATUS: Final = "reaches threshold > 0.9999"
LONGEST_SCALE: Final = "0000"


@dataclass(frozen=True)
class Wording:
    """Hold the texts that the pictures of one model share.

    Attributes:
        labels: Every label that may be drawn, so that one layout suits them all.
        warnings: The model's own warnings, one sentence each.
    """

    labels: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Caption:
    """Hold what is written over one picture.

    Attributes:
        label: As the model names it.
        probability: In [0, 1].
        threshold: In [0, 1].
        finding: Whether the label is a finding; any other label is drawn pale.
    """

    label: str
    probability: float
    threshold: float
    finding: bool

    @property
    def title(self) -> str:
        """Return the label for reading."""
        return spaced(self.label)

    @property
    def number(self) -> str:
        """Return the probability, never as 0 or 1, so that it is told from the threshold."""
        return _told_apart(self.probability, self.threshold)[0]

    @property
    def status(self) -> str:
        """Say on which side of the threshold the probability lies."""
        verb = "reaches" if self.probability >= self.threshold else "below"
        return f"{verb} threshold {_told_apart(self.probability, self.threshold)[1]}"


def spaced(label: str) -> str:
    """Return a label with spaces for underscores and line breaks."""
    return " ".join(label.replace("_", " ").split())


def logits(value: float) -> str:
    """Return an end of the scale with about two digits."""
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _told_apart(probability: float, threshold: float) -> tuple[str, str]:
    """Write both; if as many decimals as there are do not tell them apart, the lower rounded down, the higher up."""
    decimals = _decimals(probability, threshold)
    is_end = threshold in (0, 1)
    number = _inside(probability, decimals)
    mark = f"{threshold:.{decimals}f}" if is_end else _inside(threshold, decimals)
    if probability >= threshold or number != mark:
        return number, mark
    down, up = round(probability, decimals), round(threshold, decimals)
    step = 10**-decimals
    return (
        _inside(down - step if down > probability else down, decimals),
        _inside(up + step if up < threshold else up, decimals),
    )


def _decimals(probability: float, threshold: float) -> int:
    """Return how many decimals keep the two apart, and the threshold from 0 and 1: two, or up to four."""
    for decimals in (2, 3):
        written = f"{threshold:.{decimals}f}"
        is_apart = probability >= threshold or f"{probability:.{decimals}f}" != written
        if is_apart and (0 < float(written) < 1 or threshold in (0, 1)):
            return decimals
    return 4


def _inside(value: float, decimals: int) -> str:
    """Round, but keep away from 0 and 1, which a sigmoid never reaches."""
    text = f"{value:.{decimals}f}"
    if float(text) >= 1:
        return f"> {1 - 10**-decimals:.{decimals}f}"
    return text if float(text) > 0 else f"< {10**-decimals:.{decimals}f}"
