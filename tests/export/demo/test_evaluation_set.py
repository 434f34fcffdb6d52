from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from export.demo.evaluation_set import phantoms
from export.demo.phantoms import phantom
from orchestrator.evaluation.truth import read_boxes, read_labels


def test_the_folder_can_be_read_as_users_data_and_tells_the_truth(tmp_path: Path) -> None:
    arguments = ["--count", "3", "--seed", "5", "--size", "64", "--jobs", "1"]
    done = CliRunner().invoke(phantoms, [*arguments, "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    labels, boxes = read_labels(tmp_path / "labels.csv"), read_boxes(tmp_path / "boxes.csv")
    assert sorted(labels) == ["000000005.png", "000000006.png", "000000007.png"]
    for seed in (5, 6, 7):
        name, expected = f"{seed:09d}.png", phantom(seed, 64)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), expected.image)
        assert labels[name] == (set(expected.boxes) or {"No Finding"})
        found = {
            label: tuple((one.x, one.y, one.x + one.width, one.y + one.height) for one in places)
            for label, places in boxes.get(name, {}).items()
        }
        assert found == expected.boxes


def test_numbers_that_training_uses_are_refused(tmp_path: Path) -> None:
    arguments = ["--seed", "999999999", "--count", "2", "--output", str(tmp_path)]
    done = CliRunner().invoke(phantoms, arguments)
    assert done.exit_code == 2
    assert "below 1000000000" in done.stderr


@pytest.mark.parametrize("folder", ["a file/x", "/proc/x"])
def test_a_folder_that_can_not_be_made_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    done = CliRunner().invoke(phantoms, ["--output", str(tmp_path / folder)])
    assert done.exit_code == 2
    assert "--output: expected a folder that can be written, got" in done.stderr
