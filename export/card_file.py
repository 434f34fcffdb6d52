"""Read what an importer wrote beside a Keras file for its model card: ``NAME.card.json`` for ``NAME.keras``."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from export.errors import ExportError
from serving.contract import DEFAULT_LABELS

SUFFIX: Final = ".card.json"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, float | int) for each in value)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


# Arguments of export.servable.export_model that such a file may give, and their type.
_FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "labels": _texts,
    "thresholds": _numbers,
    "preprocess": _text,
    "resize": _text,
    "weights": _text,
    "training_data": _text,
    "warnings": _texts,
    "derived": _mapping,
    "details": _mapping,
}


def card_file(model: Path) -> Path:
    """Name the file that belongs to a Keras file."""
    return model.parent / f"{model.stem}{SUFFIX}"  # with_suffix() fails for "."


def read_card_file(model: Path) -> dict[str, Any]:
    """Read the file beside a Keras file.

    Returns:
        Arguments of :func:`export.servable.export_model`; empty where there is no such file.

    Raises:
        ExportError: It can't be read, or holds what a card file does not.
    """
    path = card_file(model)
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as err:
        raise ExportError(
            f"expected JSON in {path}, got something else: {err}; import again"
        ) from err
    if not isinstance(values, dict):
        raise ExportError(
            f"expected an object in {path}, got {type(values).__name__}; import again"
        )
    wrong = sorted(
        name for name in values if name not in _FIELDS or not _FIELDS[name](values[name])
    )
    if wrong:
        raise ExportError(
            f"expected {', '.join(_FIELDS)} in {path}, got a wrong {wrong}; import again"
        )
    return values


def settle(beside: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Join what stands beside the model with what the command line says, which wins where it says anything.

    Thresholds belong to the labels beside them, or the default ones, so they go where other labels are given.

    Args:
        beside: From :func:`read_card_file`.
        given: By argument's name; None where nothing was said.
    """
    said = {name: value for name, value in given.items() if value is not None}
    settled = {**beside, **said}
    own = beside.get("labels", DEFAULT_LABELS)
    if list(said.get("labels", own)) != list(own) and "thresholds" not in said:
        settled.pop("thresholds", None)
    return settled
