"""Write synthetic chest phantoms as images with labels and boxes, as ``cxr evaluate`` takes them: ``cxr phantoms``."""

import csv
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import click
from PIL import Image

from export.demo.phantoms import Box, phantom
from export.demo.recipe import FIRST_TRAINING
from export.folder import make_folder
from serving.contract import DEFAULT_LABELS

LABELS_FILE: Final = "labels.csv"
BOXES_FILE: Final = "boxes.csv"

Truth = tuple[str, tuple[str, ...], tuple[tuple[str, Box], ...]]


@click.command()
@click.option(
    "--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many."
)
@click.option(
    "--seed",
    # Training, its validation and its own held-out set have numbers above: none of these was seen.
    type=click.IntRange(0, FIRST_TRAINING - 1),
    default=0,
    show_default=True,
    help="Number of the first phantom; the next ones follow. None is among those trained on.",
)
@click.option(
    "--size", type=click.IntRange(32, 4096), default=512, show_default=True, help="Pixels a side."
)
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes.")
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path))
def phantoms(count: int, seed: int, size: int, jobs: int, output: Path) -> None:
    """Draw synthetic chest phantoms into a folder, with what they show and where.

    The same seed draws the same images. They are no radiographs of anyone.
    """
    if seed + count > FIRST_TRAINING:
        raise click.BadParameter(
            f"expected --seed and --count to end below {FIRST_TRAINING}, got {seed + count}"
        )
    make_folder(output, "--output")
    truths: list[Truth] = []
    # Spawned, not forked: the command line may have threads by now.
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        drawn = pool.map(
            partial(write_phantom, size=size, folder=output), range(seed, seed + count), chunksize=8
        )
        with click.progressbar(drawn, length=count, label="Drawing") as bar:
            truths.extend(bar)
    write_truth(output, truths)
    click.echo(f"Wrote {count} images, {LABELS_FILE} and {BOXES_FILE} in {output}")


def write_phantom(seed: int, size: int, folder: Path) -> Truth:
    """Draw one phantom into a PNG; return its file's name, labels and boxes."""
    one = phantom(seed, size)
    name = f"{seed:09d}.png"
    Image.fromarray(one.image).save(folder / name, compress_level=1)
    labels = tuple(
        label for label, present in zip(DEFAULT_LABELS, one.labels, strict=True) if present
    )
    boxes = tuple((label, box) for label, found in one.boxes.items() for box in found)
    return name, labels, boxes


def write_truth(folder: Path, truths: list[Truth]) -> None:
    """Write the labels and the boxes of phantoms as CSV."""
    with (folder / LABELS_FILE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "labels"])
        table.writerows((name, "|".join(labels)) for name, labels, _ in truths)
    with (folder / BOXES_FILE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "x", "y", "width", "height"])
        for name, _, boxes in truths:
            for label, box in boxes:
                table.writerow([name, label, box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0])
