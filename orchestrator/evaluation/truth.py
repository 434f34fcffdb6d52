"""Read what is known of images: which labels each shows, and where.

The formats are those of ChestX-ray14's own files, under their column names or plainer ones.
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.evaluation.localisation import Box
from serving.contract import NO_FINDING

Labels = Mapping[str, frozenset[str]]
Boxes = Mapping[str, Mapping[str, tuple[Box, ...]]]
_Entry = tuple[str, str, Sequence[Any], str]  # image, label, values, and where they stand

_IMAGE: Final = ("image", "Image Index")
_LABELS: Final = ("labels", "Finding Labels")
_LABEL: Final = ("label", "Finding Label")
_BOX_COLUMNS: Final = (("x", "Bbox [x"), ("y",), ("width", "w"), ("height", "h]"))
# ChestX-ray14's file of boxes (BBox_List_2017.csv) names this label otherwise than its file of labels does.
_ALIASES: Final = {"Infiltrate": "Infiltration"}


class TruthError(ValueError):
    """A file of labels or boxes that can't be used; the message says why."""


def read_labels(path: Path) -> dict[str, frozenset[str]]:
    """Read which labels each image shows.

    Args:
        path: CSV with the columns ``image`` and ``labels`` (or ``Image Index`` and ``Finding Labels``),
            labels separated by ``|``; "No Finding" or nothing where there is none.

    Returns:
        Labels by image; an image without any has "No Finding" alone.

    Raises:
        TruthError: The file can't be read, lacks a column, or names an image twice.
    """
    found: dict[str, frozenset[str]] = {}
    lines = _lines(path)
    for number, (image, labels) in _rows(path, _header(lines), lines, _IMAGE, _LABELS):
        if image in found:
            raise TruthError(
                f"expected each image once in {path}, got {image!r} again in line {number}"
            )
        named = frozenset(filter(None, (text.strip() for text in labels.split("|"))))
        if NO_FINDING in named and len(named) > 1:
            raise TruthError(
                f"expected {NO_FINDING!r} alone or not at all, got {sorted(named)} in line {number} of {path}"
            )
        found[image] = named or frozenset({NO_FINDING})
    if not found:
        raise TruthError(f"expected at least one image in {path}, got none")
    return found


def read_boxes(path: Path) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Read where findings are, in pixels of the upright image.

    Args:
        path: CSV with the columns ``image``, ``label``, ``x``, ``y``, ``width``, ``height`` (or ChestX-ray14's
            ``BBox_List_2017.csv``), one box per line; or JSON, ``{image: {label: [[x, y, width, height], …]}}``.

    Raises:
        TruthError: The file can't be read, lacks a column, or holds what is no box.
    """
    gathered: dict[str, dict[str, list[Box]]] = {}
    entries = _json_boxes(path) if path.suffix.lower() == ".json" else _csv_boxes(path)
    for image, label, values, place in entries:
        boxes = gathered.setdefault(image, {}).setdefault(label, [])
        boxes.append(_box(values, f"{label} of {image} in {place}"))
    return {
        image: {label: tuple(boxes) for label, boxes in labels.items()}
        for image, labels in gathered.items()
    }


def _csv_boxes(path: Path) -> Iterable[_Entry]:
    lines = _lines(path)
    header = _header(lines)
    aliases = _ALIASES if _LABEL[1] in header else {}
    columns = (_IMAGE, _LABEL, *_BOX_COLUMNS)
    for number, (image, label, *values) in _rows(path, header, lines, *columns):
        yield image, aliases.get(label, label), values, f"line {number} of {path}"


def _json_boxes(path: Path) -> Iterable[_Entry]:
    try:
        content = json.loads(path.read_text("utf-8"))
        return [
            (image, label, values, str(path))
            for image, labels in content.items()
            for label, boxes in labels.items()
            for values in boxes
        ]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as err:
        raise TruthError(
            f"expected JSON like {{image: {{label: [[x, y, width, height]]}}}} in {path}, got something else: {err}"
        ) from err


def _box(values: Sequence[Any], where: str) -> Box:
    try:
        numbers = [float(value) for value in values]
        box = Box(*numbers, where=where)
    except (TypeError, ValueError, OverflowError) as err:
        raise TruthError(
            f"expected x, y, width and height as numbers for {where}, got {values}"
        ) from err
    for (column, *_), value in zip(_BOX_COLUMNS, numbers, strict=True):
        if not math.isfinite(value):
            raise TruthError(f"expected a finite number as the {column} of {where}, got {value}")
    if not (box.width > 0 and box.height > 0):
        raise TruthError(
            f"expected a box with a width and a height for {where}, got {list(values)}"
        )
    return box


def _header(lines: Iterator[tuple[int, list[str]]]) -> list[str]:
    """Take the first line."""
    return next(lines, (1, []))[1]


def _rows(
    path: Path,
    header: list[str],
    lines: Iterable[tuple[int, list[str]]],
    *columns: Sequence[str],
) -> Iterable[tuple[int, list[str]]]:
    """Yield the number of the line where a row begins, and its values in columns that have one of several names.

    The first of these names an image.
    """
    indices = [_index(header, names, path) for names in columns]
    for number, values in lines:
        if any(values[len(header) :]):
            raise TruthError(
                f"expected at most {len(header)} values in line {number} of {path}, got {len(values)}; separate several"
                " labels by |, and put a value that holds a comma in quotes"
            )
        for index in indices:
            if index >= len(values):
                raise TruthError(
                    f"expected a value in the column {header[index]!r}, got none in line {number} of {path}; "
                    "put a comma before an empty value"
                )
        image = values[indices[0]]
        if not image:
            raise TruthError(f"expected the name of an image in line {number} of {path}, got none")
        yield number, [values[index] for index in indices]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the line where a row begins and its values, stripped of spaces; blank ones are left out."""
    begin = 1
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            # strict: a quote that is never closed would take all further rows for one value
            reader = csv.reader(file, strict=True)
            for values in reader:
                stripped = [value.strip() for value in values]
                if any(stripped):  # a spreadsheet writes a blank row as commas
                    yield begin, stripped
                begin = reader.line_num + 1
    except csv.Error as err:
        raise TruthError(
            f"expected CSV in {path}, got something else from line {begin} on: {err}; mend the quotes there"
        ) from err
    except (OSError, UnicodeDecodeError) as err:
        raise TruthError(f"expected a CSV file in UTF-8, got {path}: {err}") from err


def _index(header: list[str], names: Sequence[str], path: Path) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise TruthError(f"expected a column {' or '.join(map(repr, names))} in {path}, got {header}")
