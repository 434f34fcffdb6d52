"""Evaluation and calibration through the whole service: real processes, known images, figures known beforehand.

PHANTOMS says how many held-out phantoms the demo model is put to; the full 1,000 take some minutes.
"""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from export.demo.evaluation_set import phantoms
from export.demo.model import build_demo_model
from export.demo.servable import export_demo
from export.servable import export_model
from orchestrator.evaluation.calibrate import calibrate
from orchestrator.evaluation.evaluate import evaluate
from orchestrator.thresholds import read_thresholds
from tests.support.api import running_api
from tests.support.model_server import model_flags, model_server
from tests.support.tiny_models import PLANTED_LABELS, planted_model

pytestmark = pytest.mark.tensorflow

SERVING = Path(__file__).parents[1] / "serving"
COUNT = int(os.environ.get("PHANTOMS", "60"))
FULL = 1000  # images from which on the demo model is held to its bars
ROWS, COLUMNS, CELL = 6, 8, 50


@contextmanager
def served(folder: Path) -> Iterator[httpx.Client]:
    """Serve the servable ``densenet`` in a folder."""
    log = folder / "model-server.log"
    batching = f"--batching_parameters_file={SERVING / 'batching.config'}"
    flags = (*model_flags(folder / "densenet"), "--enable_batching=true", batching)
    with ExitStack() as stack:
        server = stack.enter_context(model_server("embedded", log, *flags))
        yield stack.enter_context(running_api(folder / "log", MODEL_SERVER=server.target))


def run(command: Any, folder: Path, server: httpx.Client, *more: str) -> Result:
    images = [str(folder), "--labels", str(folder / "labels.csv"), "--server", str(server.base_url)]
    done = CliRunner().invoke(command, [*images, *more])
    assert done.exit_code == 0, done.output
    return done


def measured(folder: Path, server: httpx.Client) -> Any:
    boxes = ["--boxes", str(folder / "boxes.csv")]
    run(evaluate, folder, server, *boxes, "--output", str(folder / "out"))
    return json.loads((folder / "out" / "evaluation.json").read_text())


def write_planted_images(folder: Path) -> None:
    """Write twelve images, 400 by 300, with a white or a black cell, both, or neither, and say where."""
    rng = np.random.default_rng(1)
    labels = [("image", "labels")]
    boxes: list[tuple[str, ...]] = [("image", "label", "x", "y", "width", "height")]
    folder.mkdir()
    for number in range(12):
        shown = [("Bright",), ("Dark",), ("Bright", "Dark"), ()][number % 4]
        pixels = np.full((ROWS * CELL, COLUMNS * CELL), 128, np.uint8)
        name = f"{number}.png"
        cells = rng.choice(ROWS * COLUMNS, len(shown), replace=False)
        for label, cell in zip(shown, cells, strict=True):
            y, x = (int(index) * CELL for index in divmod(int(cell), COLUMNS))
            pixels[y : y + CELL, x : x + CELL] = 255 if label == "Bright" else 0
            boxes.append((name, label, *(str(value) for value in (x, y, CELL, CELL))))
        labels.append((name, "|".join(shown) or "No Finding"))
        Image.fromarray(pixels).save(folder / name)
    for rows, file in ((labels, "labels.csv"), (boxes, "boxes.csv")):
        with (folder / file).open("w", newline="") as opened:
            csv.writer(opened).writerows(rows)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, httpx.Client]]:
    folder = tmp_path_factory.mktemp("planted")
    write_planted_images(folder / "images")
    export_model(planted_model(), folder / "densenet", labels=PLANTED_LABELS, preprocess="rescale")
    with served(folder) as client:
        yield folder / "images", client


def test_a_network_that_sees_and_points_rightly_is_measured_as_perfect(
    planted: tuple[Path, httpx.Client],
) -> None:
    found = measured(*planted)
    assert found["images"] == 12
    assert found["not_in_labels"] == ["Contrast"]
    for label in ("Bright", "Dark"):
        row = found["labels"][label]
        assert (row["positives"], row["negatives"], row["boxes"]) == (6, 6, 6)
        assert row["auroc"] == 1.0
        # one white or black cell among 48 gives .31, none .27: all of them below the threshold of 0.5
        assert (row["sensitivity"], row["specificity"]) == (0.0, 1.0)
        # all in one bin of a fifteenth, a mean of .29 where half of them are positive
        assert row["calibration_error"] == pytest.approx(0.5 - 0.29, abs=5e-3)
        pointing = row["pointing"]
        assert (pointing["overlap"], pointing["center"], pointing["within"]) == (1, 1, 1)
        assert pointing["within_chance"] == pytest.approx(1 / 48, abs=1e-6)
        # heat of at least half of the peak covers 2 - 2 ln 2 of a cell inside the image, more at its edges
        assert 0.6 < pointing["iou"] < 1
        assert pointing["iou_chance"] < 0.05


def test_calibrated_thresholds_part_them_and_belong_to_the_model_served(
    planted: tuple[Path, httpx.Client], tmp_path: Path
) -> None:
    folder, server = planted
    run(calibrate, folder, server, "--output", str(tmp_path / "thresholds.json"))
    found = read_thresholds(tmp_path / "thresholds.json")
    model = server.get("/health/model").json()["model"]
    assert found.card_digest == model["card_digest"]
    # between 1 / (1 + e) = 0.2689 and 1 / (1 + exp(1 - 10 / 48)) = 0.3118
    assert found.thresholds["Bright"] == pytest.approx((0.2689 + 0.3118) / 2, abs=5e-3)
    assert found.thresholds["Contrast"] == 0.5


@pytest.fixture(scope="module")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    arguments = ["--count", str(COUNT), "--seed", "0", "--output", str(folder)]
    done = CliRunner().invoke(phantoms, arguments)
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.slow
def test_the_demo_model_sees_held_out_phantoms(phantom_folder: Path, tmp_path: Path) -> None:
    export_demo(tmp_path / "densenet")
    with served(tmp_path) as server:
        found = measured(phantom_folder, server)
    assert found["images"] == COUNT
    summary = found["summary"]
    tolerance = 0.0 if COUNT >= FULL else 0.06  # so few images say little
    assert summary["macro_auroc"] >= 0.98 - tolerance
    assert summary["mean_overlap"] >= 0.95 - tolerance
    # in a box is where the cell's centre is: many findings are smaller than a whole cell of 7 by 7
    assert summary["focal_center"] >= 0.78 - tolerance
    assert summary["mean_overlap_chance"] < 0.5
    if COUNT >= FULL:
        assert summary["lowest_auroc"] >= 0.92
        assert summary["lowest_overlap"] >= 0.85


@pytest.mark.slow
def test_a_random_head_neither_reads_nor_points(phantom_folder: Path, tmp_path: Path) -> None:
    """Randomise the head's weights (Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018)."""
    model = build_demo_model()
    head = model.get_layer("predictions")
    rng = np.random.default_rng(0)
    kernel, bias = (np.asarray(each) for each in head.weights)
    head.set_weights([rng.normal(0, kernel.std(), kernel.shape).astype(np.float32), bias])
    export_model(model, tmp_path / "densenet", weights="untrained")
    with served(tmp_path) as server:
        found = measured(phantom_folder, server)
    assert found["summary"]["macro_auroc"] < 0.7
    assert found["summary"]["mean_overlap"] < 0.6
