"""Read and write threshold sets: operating points that belong to one model and are refused for any other."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import ModelContractError
from orchestrator.folders import write_whole
from serving.contract import ModelCard

FORMAT: Final = 1


class ThresholdsError(ValueError):
    """A file that is no threshold set; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ThresholdSet:
    """Hold the operating points of one model.

    Attributes:
        model_name: Name of the model.
        card_digest: SHA-256 of its card, hexadecimal.
        thresholds: Operating point by label, in [0, 1].
        method: How they were chosen.
        images: On how many images.
    """

    model_name: str
    card_digest: str
    thresholds: Mapping[str, float]
    method: str
    images: int

    def for_card(self, card: ModelCard) -> tuple[float, ...]:
        """Return the operating points in the order of the card's labels.

        Raises:
            ModelContractError: The card is another model's than the one the set was made for.
        """
        if card.digest != self.card_digest:
            raise ModelContractError(
                f"expected the model that the thresholds were made for ({self.model_name}, card "
                f"{self.card_digest[:12]}), got {card.name}, card {card.digest[:12]}; run 'cxr calibrate' for this "
                "model, or unset THRESHOLDS"
            )
        missing = [label for label in card.labels if label not in self.thresholds]
        if missing:
            raise ModelContractError(
                f"expected a threshold for every label, got none for {missing}"
            )
        return tuple(self.thresholds[label] for label in card.labels)


def read_thresholds(path: Path) -> ThresholdSet:
    """Read a file that ``cxr calibrate`` has written.

    Raises:
        ThresholdsError: It can't be read, or is no threshold set.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
        return _parse(values)
    except ThresholdsError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        raise ThresholdsError(
            f"expected a threshold set in {path}, got something else ({type(err).__name__}: {err}); write one with "
            "'cxr calibrate'"
        ) from err


def write_thresholds(path: Path, values: ThresholdSet) -> None:
    """Write a threshold set as JSON: a file whole or not at all, so that a full disk leaves the earlier one."""
    content = json.dumps({"format": FORMAT} | asdict(values), indent=2) + "\n"
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # a device or a pipe
        path.write_text(content, "utf-8")
    else:
        write_whole(path, content.encode())


def _parse(values: Mapping[str, Any]) -> ThresholdSet:
    if values["format"] != FORMAT:
        raise ThresholdsError(
            f"expected a threshold set of format {FORMAT}, got {values['format']!r}; calibrate again"
        )
    thresholds = {str(label): float(value) for label, value in values["thresholds"].items()}
    wrong = {label: value for label, value in thresholds.items() if not 0.0 <= value <= 1.0}
    if wrong or not thresholds:
        raise ThresholdsError(f"expected thresholds in [0, 1], got {wrong or 'none'}")
    return ThresholdSet(
        model_name=str(values["model_name"]),
        card_digest=str(values["card_digest"]),
        thresholds=thresholds,
        method=str(values["method"]),
        images=int(values["images"]),
    )
