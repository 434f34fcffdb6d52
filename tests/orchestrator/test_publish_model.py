"""The command that gives TensorFlow Serving its model, run as a container runs it: at every start."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.workers import CXR


def publish(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CXR, "publish-model", str(folder)],
        check=False,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=240,
    )


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("[0-9]*"))


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_model_is_published_once_and_a_changed_one_as_the_next_version(tmp_path: Path) -> None:
    from tests.support.tiny_models import small_model

    model, labels = tmp_path / "small.keras", tmp_path / "labels.txt"
    small_model(outputs=2).save(model)
    labels.write_text("Mass\nNo Finding\n")
    settings = {
        "MODEL_PATH": str(model),
        "MODEL_LABELS": str(labels),
        "MODEL_PREPROCESS": "rescale",
    }
    folder = tmp_path / "models" / "densenet"
    first = publish(folder, **settings)
    assert (first.returncode, versions(folder)) == (0, ["1"]), first.stderr
    again = publish(folder, **settings)
    assert (again.returncode, versions(folder)) == (0, ["1"])
    assert "nothing to do" in again.stdout
    labels.write_text("Nodule\nNo Finding\n")
    changed = publish(folder, **settings)
    assert (changed.returncode, versions(folder)) == (0, ["1", "2"]), changed.stderr
    shutil.rmtree(folder / "2")
    missing = publish(folder, **settings)
    assert (missing.returncode, versions(folder)) == (0, ["1", "2"]), missing.stderr
    assert "nothing to do" in publish(folder, **settings).stdout


def test_a_missing_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.keras")
    answer = publish(tmp_path / "densenet", MODEL_PATH=missing)
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: MODEL_PATH")
    assert not (tmp_path / "densenet").exists()
