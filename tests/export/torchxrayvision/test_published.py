import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

from export.torchxrayvision.cli import import_torchxrayvision
from export.torchxrayvision.convert import outputs, recognise
from export.torchxrayvision.errors import WeightsFileError
from export.torchxrayvision.published import by_name, published
from export.torchxrayvision.state import Checkpoint
from tests.export.torchxrayvision import pickles

pytestmark = pytest.mark.tensorflow  # convert loads Keras


def test_every_set_has_an_operating_point_where_and_only_where_it_has_a_label() -> None:
    for entry in published():
        assert len(entry.labels) == len(entry.thresholds) == 18
        for label, point in zip(entry.labels, entry.thresholds, strict=True):
            assert (label == "") == math.isnan(point)


def test_the_set_of_all_data_was_trained_on_every_output() -> None:
    entry = by_name("densenet121-res224-all")
    assert entry is not None
    assert "" not in entry.labels
    assert entry.thresholds[0] == 0.07422872


def test_a_set_is_recognised_by_the_name_its_file_is_published_under() -> None:
    name = "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
    found = recognise(Path("downloads") / name, None)
    assert found is not None
    assert found.name == "nih"
    assert recognise(Path("weights.pt"), None) is None


def test_a_name_that_is_not_published_is_refused_with_those_that_are() -> None:
    with pytest.raises(WeightsFileError, match="mimic_nb"):
        recognise(Path("weights.pt"), "imagenet")


def test_the_files_own_labels_and_points_come_first() -> None:
    own = Checkpoint({}, ("Mass", ""), (0.25, math.nan))
    assert outputs(own, by_name("nih")) == (own.labels, own.thresholds)


def test_labels_of_another_order_do_not_take_published_points() -> None:
    labels, points = outputs(Checkpoint({}, ("Mass", "Edema")), by_name("nih"))
    assert labels == ("Mass", "Edema")
    assert all(math.isnan(point) for point in points)


def test_labels_that_several_sets_share_ask_which_it_is_for_its_points() -> None:
    chex = by_name("chex")
    assert chex is not None
    own = Checkpoint({}, chex.labels)
    with pytest.raises(
        WeightsFileError, match=r"labels of chex, mimic_nb, mimic_ch alone.*--weights"
    ):
        outputs(own, None)
    assert outputs(own, chex) == (chex.labels, chex.thresholds)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a network of one layer in the place of DenseNet121."""

    def build(_: Any, kept: list[int]) -> keras.Model:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(len(kept))])

    monkeypatch.setattr("export.torchxrayvision.convert.build", build)


def imported(labels: tuple[str, ...], folder: Path, *options: str) -> Result:
    """Import a module that carries labels, but no operating points."""
    bias = pickles.tensor(pickles.storage("0", len(labels)), (len(labels),), (1,))
    linear = pickles.mapping(_parameters=pickles.mapping(bias=bias))
    classifier = pickles.instance("torch.nn.modules.linear", "Linear", linear)
    state = pickles.mapping(
        targets=b"](" + b"".join(map(pickles.text, labels)) + b"e",
        _modules=pickles.mapping(classifier=classifier),
    )
    module = pickles.instance("torchxrayvision.models", "DenseNet", state)
    numbers = {"0": np.zeros(len(labels), "<f4").tobytes()}
    path = pickles.write_zip(folder / "renamed.pt", module, numbers)
    output = ["--output", str(folder / "xrv.keras")]
    return CliRunner().invoke(import_torchxrayvision, [str(path), *output, *options])


@pytest.mark.usefixtures("tiny")
def test_a_set_whose_labels_are_not_the_files_is_refused(tmp_path: Path) -> None:
    nih = by_name("nih")
    assert nih is not None
    refused = imported(nih.labels, tmp_path, "--weights", "all")
    assert refused.exit_code == 1
    assert "got all, whose labels are not those in the file" in refused.stderr
    assert not (tmp_path / "xrv.keras").exists()
    done = imported(nih.labels, tmp_path, "--weights", "nih")
    assert done.exit_code == 0, done.output
    assert "0.5" not in done.stderr
    card = json.loads((tmp_path / "xrv.card.json").read_text())
    assert card["thresholds"] == [point for point in nih.thresholds if not math.isnan(point)]


@pytest.mark.usefixtures("tiny")
def test_the_command_says_that_thresholds_are_one_half_where_no_point_is_known(
    tmp_path: Path,
) -> None:
    done = imported(("Mass", "", "Edema"), tmp_path)
    assert done.exit_code == 0, done.output
    assert "No operating point is known for 2 of the labels: their threshold is 0.5" in done.stderr
    assert json.loads((tmp_path / "xrv.card.json").read_text())["thresholds"] == [0.5, 0.5]
