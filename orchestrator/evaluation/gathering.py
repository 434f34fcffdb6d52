"""Ask a running service about every image of a folder, and gather its answers as arrays."""

import base64
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click
import httpx
import numpy as np
from numpy.typing import NDArray

from gradcam.placement import Placement
from orchestrator.client.client import (
    ClientError,
    Patience,
    open_client,
    read_image,
    request_report,
)
from orchestrator.evaluation.localisation import Box
from orchestrator.evaluation.truth import Boxes

_FORM: Final = {"heatmaps": "none"}
# Not / and &, which stand in names of labels: Nodule/Mass in VinDr-CXR.
_WRONG_SEPARATORS: Final = re.compile("[;,]")


class EvaluationError(Exception):
    """A set of images that can't be evaluated; the message says why."""


@dataclass(frozen=True)
class Maps:
    """Hold the activation maps of one image.

    Attributes:
        values: float32 ``[L, h, w]``, in logits.
        placement: Part of the upright image that they cover.
        image_size: Width and height of the upright image, in pixels.
    """

    values: NDArray[np.float32] = field(repr=False)
    placement: Placement
    image_size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Hold what one model answered about several images.

    Attributes:
        model: Name, version and card digest, as in every report.
        images: Names of the images, in the order of the rows.
        labels: In the model's order.
        probabilities: float64 ``[N, L]``.
        thresholds: Operating points served, ``[L]``.
        maps: By image, where they were asked for.
        failures: Reason by image that got no answer.
    """

    model: Mapping[str, Any]
    images: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: NDArray[np.float64] = field(repr=False)
    thresholds: tuple[float, ...]
    maps: Mapping[str, Maps] = field(repr=False)
    failures: Mapping[str, str]


def find_images(folder: Path, named: Iterable[str]) -> dict[str, Path]:
    """Find in a folder, at any depth, the images that a labels file names, by path below it or by file name.

    Raises:
        EvaluationError: None is there, a name fits two files, or two names fit one.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    by_path = {path.relative_to(folder).as_posix(): path for path in files}
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(path.name, []).append(path)
    found: dict[str, Path] = {}
    names: dict[Path, str] = {}
    for name in named:
        candidates = [by_path[name]] if name in by_path else by_name.get(name, [])
        if len(candidates) > 1:
            raise EvaluationError(
                f"expected one file for {name!r} in {folder}, got {len(candidates)}; name it by its path"
            )
        if candidates:
            found[name] = candidates[0]
            other = names.setdefault(candidates[0], name)
            if other != name:
                raise EvaluationError(
                    f"expected one name for each file, got {other!r} and {name!r} for the same; name every image by"
                    " its path"
                )
    if not found:
        raise EvaluationError(
            f"expected images of the labels file in {folder}, found none of them; check both names"
        )
    return found


def gather(
    images: Mapping[str, Path],
    server: str,
    *,
    boxes: Boxes | None = None,
    jobs: int = 4,
    timeout: float = 60.0,
) -> Answers:
    """Send the images, several at a time, behind a progress bar, as long as one model answers.

    Args:
        images: Path by name.
        server: Address of the service.
        boxes: True boxes; the activation maps of their images are asked for.
        jobs: Images sent at once.
        timeout: Seconds to wait for an answer.

    Raises:
        EvaluationError: No image got an answer, one came from another model or with other thresholds, or a box lies
            outside of its image.
    """
    boxes = boxes or {}
    reports: dict[str, dict[str, Any]] = {}
    failures: dict[str, str] = {}
    client, patience = open_client(server, timeout), Patience()
    with client, ThreadPoolExecutor(jobs) as pool:
        pending = {
            pool.submit(_ask, client, path, patience, maps=name in boxes): name
            for name, path in images.items()
        }
        try:
            with click.progressbar(length=len(pending), label="Analysing", file=sys.stderr) as bar:
                for done in as_completed(pending):
                    bar.update(1)
                    name = pending[done]
                    try:
                        report = done.result()
                    except ClientError as err:
                        failures[name] = str(err)
                        continue
                    _refuse_another(next(iter(reports.values()), report), report)
                    _refuse_outside(boxes.get(name, {}), report)
                    reports[name] = report
        finally:  # what is not sent yet shall not be
            patience.lose()
            pool.shutdown(cancel_futures=True)
    return collect({name: reports[name] for name in images if name in reports}, failures)


def _ask(client: httpx.Client, path: Path, patience: Patience, *, maps: bool) -> dict[str, Any]:
    form = _FORM | ({"maps": "true"} if maps else {})
    report = request_report(client, read_image(path), form, patience.sleep)
    if maps and "activation_maps" not in report:
        raise ClientError("expected activation maps in the report, got none; update the service")
    return report


def _refuse_another(first: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Refuse the report of another model, or one with other thresholds, than the first."""
    told, found = _identity(first), _identity(report)
    if found != told:
        what = "other thresholds" if found[0] == told[0] else "another model or version"
        raise EvaluationError(
            f"expected one model with the same thresholds to answer every image, got {what} meanwhile; no more"
            " images are sent, start again"
        )


def _refuse_outside(boxes: Mapping[str, Sequence[Box]], report: Mapping[str, Any]) -> None:
    """Refuse a box that no part of its image is in: it is one of another image, or of another size of this one."""
    size = _size(report)
    for box in chain.from_iterable(boxes.values()):
        if box.outside(size):
            raise EvaluationError(
                f"expected a box inside the image, {size[0]} by {size[1]} pixels, for {box.where}, got"
                f" {[box.x, box.y, box.width, box.height]}; no more images are sent, give boxes in pixels of the"
                " upright image and start again"
            )


def _identity(report: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the model of a report, and the threshold of each of its labels."""
    return report["model"], [(each["label"], each["threshold"]) for each in report["predictions"]]


def collect(reports: Mapping[str, Mapping[str, Any]], failures: Mapping[str, str]) -> Answers:
    """Line the reports of one model up.

    Raises:
        EvaluationError: There is none.
    """
    if not reports:
        reason = next(iter(failures.values()), "no images")
        raise EvaluationError(f"expected an answer for at least one image, got none: {reason}")
    first = next(iter(reports.values()))
    rows = [[each["probability"] for each in report["predictions"]] for report in reports.values()]
    return Answers(
        model=first["model"],
        images=tuple(reports),
        labels=tuple(each["label"] for each in first["predictions"]),
        probabilities=np.array(rows, np.float64),
        thresholds=tuple(each["threshold"] for each in first["predictions"]),
        maps={
            name: _maps(report) for name, report in reports.items() if "activation_maps" in report
        },
        failures=dict(failures),
    )


def _maps(report: Mapping[str, Any]) -> Maps:
    described = report["activation_maps"]
    values = np.frombuffer(base64.b64decode(described["data"]), "<f4").reshape(described["shape"])
    return Maps(values, Placement(**described["placement"]), _size(report))


def _size(report: Mapping[str, Any]) -> tuple[int, int]:
    return report["image"]["width"], report["image"]["height"]


def known_labels(answers: Answers, labels: Mapping[str, frozenset[str]]) -> list[str]:
    """Return which labels of the model the labels file names, in the model's order.

    Raises:
        EvaluationError: None, or labels of the model are separated by another character than ``|``.
    """
    _refuse_joined(answers.labels, labels)
    named = frozenset().union(*labels.values())
    known = [label for label in answers.labels if label in named]
    if not known:
        raise EvaluationError(
            f"expected labels that the model knows ({', '.join(answers.labels)}), got none of them in the labels file"
            f" ({', '.join(sorted(named))}); case counts"
        )
    return known


def _refuse_joined(known: Sequence[str], labels: Mapping[str, frozenset[str]]) -> None:
    """Refuse several labels in one, for lack of ``|``: their image would be a negative of each."""
    for image, names in labels.items():
        for name in sorted(names.difference(known)):
            parts = {part.strip() for part in _WRONG_SEPARATORS.split(name)}
            if found := [label for label in known if label in parts]:
                raise EvaluationError(
                    f"expected labels separated by | in the labels file, got {name!r} in the row of {image!r}, which"
                    f" the model doesn't know as one label, but {', '.join(found)}; separate labels by |, or give one"
                    " label of the data set a name without ; and ,"
                )


def truth_table(
    labels: Mapping[str, frozenset[str]], images: Sequence[str], names: Sequence[str]
) -> NDArray[np.bool_]:
    """Mark which image shows which label.

    Args:
        labels: By image.
        images: Rows.
        names: Columns.

    Returns:
        ``[N, L]``.
    """
    return np.array([[name in labels[image] for name in names] for image in images], np.bool_)
