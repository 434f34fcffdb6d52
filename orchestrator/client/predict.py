"""Send radiographs to a running service and write what comes back: ``cxr predict``."""

import csv
import sys
from collections.abc import Callable, Container, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
import httpx

from orchestrator.client.batch import request_archives
from orchestrator.client.client import (
    ClientError,
    Patience,
    open_client,
    read_image,
    request_archive,
)
from orchestrator.client.options import jobs_option, server_option, timeout_option
from orchestrator.client.output import make_folder
from orchestrator.client.unpack import earlier_pictures, unpack

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
_TABLE: Final = "predictions.csv"
_NO_FOLDER: Final = frozenset({"", ".", "..", _TABLE})  # "...png" is called ".." without its suffix
# Each holds a result in memory until it is written; beyond those being sent, so that sending doesn't wait for the disk.
_PENDING_PER_JOB: Final = 2


@dataclass(frozen=True)
class Item:
    """One image to send, and the folder below the output that its result goes to."""

    path: Path
    target: Path


_Answers: TypeAlias = Generator[tuple[Item, dict[str, Any] | ClientError], None, None]


@click.command()
@click.argument(
    "images",
    nargs=-1,
    required=True,
    metavar="IMAGE_OR_FOLDER...",
    type=click.Path(exists=True, path_type=Path),
)
@server_option
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--heatmaps", default="positive", show_default=True, help="positive, all, none, or labels."
)
@click.option(
    "--format", "file_format", default="jpeg", show_default=True, help="jpeg, png or webp."
)
@click.option("--font-size", default=40, show_default=True, help="In pixels of the picture.")
@click.option("--max-size", default="1024", show_default=True, help="Longest side, or 'original'.")
@jobs_option
@click.option(
    "--async", "queued", is_flag=True, help="Queue the images as batches: for many of them."
)
@timeout_option
def predict(
    images: Sequence[Path],
    server: str,
    output: Path,
    jobs: int,
    queued: bool,
    timeout: float,
    file_format: str,
    **fields: Any,
) -> None:
    """Analyse images and folders of images; write report and overlays of each under OUTPUT.

    A folder is searched for image files at any depth; pictures of earlier results are left out.
    predictions.csv holds a line per image, with its path as source, the model that answered and its warnings, which
    are repeated at the end. The pictures of an earlier result of the same image are removed. The status is 1 if any
    image got no result. A service that needs a key is shown the one in CXR_API_KEY.
    """
    items = collect(images)
    make_folder(output)
    form = {name: str(value) for name, value in fields.items()} | {"format": file_format}
    rows: list[tuple[Item, dict[str, Any]]] = []
    failures: list[tuple[Item, str]] = []
    with (
        open_client(server, timeout) as client,
        closing(
            _queued(client, items, form, output)
            if queued
            else _at_once(client, items, form, output, jobs)
        ) as answers,
    ):
        try:
            _receive(answers, len(items), rows, failures)
        finally:  # what is done when somebody interrupts it is of use as well
            _write_table(output, rows)
    for item, reason in failures:
        click.echo(f"{click.format_filename(item.path)}: {reason}", err=True)
    for sentence in _cautions(rows):
        click.echo(sentence, err=True)
    where = f"results in {click.format_filename(output)}" if rows else "nothing was written"
    click.echo(f"{len(rows)} of {len(items)} images analysed; {where}")
    if failures:
        raise click.exceptions.Exit(1)


def _cautions(rows: Sequence[tuple[Item, dict[str, Any]]]) -> Iterable[str]:
    """Return each warning and each notice of the reports once."""
    warnings = (warning for _, report in rows for warning in report["warnings"])
    return dict.fromkeys(chain(warnings, (report["notice"] for _, report in rows)))


def collect(paths: Sequence[Path]) -> list[Item]:
    """List the images that files and folders stand for, each with a result folder of its own."""
    items = [item for path in paths for item in _below(path)]
    if not items:
        raise click.ClickException(
            f"expected image files ({', '.join(sorted(SUFFIXES))}), found none in what was named"
        )
    taken = {item.target for item in items}
    met: set[Path] = set()
    unique = []
    for item in items:
        # a.png and a.jpg, or the same name in two folders, must not write over each other
        target = _numbered(item.target, taken) if item.target in met else item.target
        met.add(item.target)
        taken.add(target)
        unique.append(Item(item.path, target))
    return unique


def _numbered(target: Path, taken: Container[Path]) -> Path:
    """Return a folder with a number to its name that is no other image's."""
    folders = (target.with_name(f"{target.name}_{number}") for number in count(2))
    return next(folder for folder in folders if folder not in taken)


def _below(path: Path) -> Iterator[Item]:
    if path.is_file():
        yield Item(path, _target(Path(path.name)))
        return
    earlier = cache(earlier_pictures)  # OUTPUT may lie within the folder of the images
    for found in sorted(path.rglob("*")):
        is_image = found.suffix.lower() in SUFFIXES and found.is_file()
        if is_image and found.name not in earlier(found.parent):
            yield Item(found, _target(found.relative_to(path)))


def _target(image: Path) -> Path:
    """Return where the result of an image goes, which is below the output and not where the table is."""
    names = (*image.parent.parts, image.stem)
    return Path(*("image" if name.lower() in _NO_FOLDER else name for name in names))


def _at_once(
    client: httpx.Client, items: Sequence[Item], form: dict[str, str], output: Path, jobs: int
) -> _Answers:
    """Yield the report of each image, several being sent at once; to close it is to send no more."""
    patience = Patience()

    def ask(item: Item) -> bytes | ClientError:
        try:
            return request_archive(client, read_image(item.path), form, patience.sleep)
        except ClientError as err:
            return err

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item, content in _as_done(pool, ask, items, jobs * _PENDING_PER_JOB):
                if isinstance(content, ClientError):
                    yield item, content
                else:
                    yield item, _kept(content, output / item.target)
        finally:
            patience.lose()
            pool.shutdown(cancel_futures=True)


def _as_done(
    pool: ThreadPoolExecutor,
    ask: Callable[[Item], bytes | ClientError],
    items: Sequence[Item],
    most: int,
) -> Iterator[tuple[Item, bytes | ClientError]]:
    """Yield the answer to each image as it comes, with so many at most asked for or kept."""
    left = iter(items)
    pending: dict[Future[bytes | ClientError], Item] = {}
    while True:
        for item in islice(left, most - len(pending)):
            pending[pool.submit(ask, item)] = item
        if not pending:
            return
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        future = done.pop()
        yield pending.pop(future), future.result()


def _queued(
    client: httpx.Client, items: Sequence[Item], form: dict[str, str], output: Path
) -> _Answers:
    """Yield the report of each image's task."""

    def keep(place: int, content: bytes) -> dict[str, Any] | ClientError:
        return _kept(content, output / items[place].target)

    for place, report in request_archives(client, [item.path for item in items], form, keep):
        yield items[place], report


def _kept(content: bytes, folder: Path) -> dict[str, Any] | ClientError:
    """Unpack a result and return its report, or why that can't be done."""
    try:
        return unpack(content, folder)
    except ClientError as err:
        return err


def _receive(
    answers: _Answers,
    count: int,
    rows: list[tuple[Item, dict[str, Any]]],
    failures: list[tuple[Item, str]],
) -> None:
    """Take the reports as they come, behind a progress bar, and add each image to the rows or the failures."""
    with click.progressbar(length=count, label="Analysing", file=sys.stderr) as bar:
        for item, report in answers:
            bar.update(1)
            if isinstance(report, ClientError):
                failures.append((item, str(report)))
            else:
                rows.append((item, report))


def _write_table(output: Path, rows: Sequence[tuple[Item, dict[str, Any]]]) -> None:
    """Write one line per image: its result folder, findings, probabilities, where it came from, and who says so.

    Raises:
        click.ClickException: It can't be written.
    """
    if not rows:
        return
    try:
        _write_lines(output / _TABLE, rows)
    except OSError as err:
        raise click.ClickException(
            f"expected to write {_TABLE}, got: {err.strerror}; the results are in their folders"
        ) from err


def _write_lines(path: Path, rows: Sequence[tuple[Item, dict[str, Any]]]) -> None:
    labels = [prediction["label"] for prediction in rows[0][1]["predictions"]]
    # names that are no UTF-8 are written as they are
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["image", "findings", *labels, "source", "model", "version", "warnings"])
        for item, report in sorted(rows, key=lambda row: row[0].target):
            probabilities = {each["label"]: each["probability"] for each in report["predictions"]}
            findings = "|".join(report["findings"])
            numbers = [probabilities.get(name) for name in labels]
            model, warnings = report["model"], "|".join(report["warnings"])
            origin = [item.path, model["name"], model["version"], warnings]
            table.writerow([item.target, findings, *numbers, *origin])
