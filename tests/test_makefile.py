"""Check which parts of the environment ``make run`` brings up to date; nothing is run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OLD, PINNED, NEW = 1e9, 1.1e9, 1.2e9  # when files were written


def planned(folder: Path, **stamps: float) -> list[str]:
    """Return the requirements that ``make run`` would install, with stamps ``run`` and ``dev`` of these times."""
    shutil.copy(ROOT / "Makefile", folder)
    stamped = {f".venv/.{name}": moment for name, moment in stamps.items()}
    pinned = ("pyproject.toml", "requirements/run.txt", "requirements/dev.txt")
    for name, moment in {
        ".venv/bin/python": OLD,
        **dict.fromkeys(pinned, PINNED),
        **stamped,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        os.utime(folder / name, (moment, moment))
    plan = subprocess.run(
        ["make", "--dry-run", "run"],
        check=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    words = plan.stdout.split()
    assert words[-2:] == [".venv/bin/cxr", "up"]
    return [word for word in words if word.startswith("requirements/")]


@pytest.mark.parametrize(
    ("stamps", "installed"),
    [
        ({}, ["requirements/run.txt"]),
        ({"run": OLD}, ["requirements/run.txt"]),
        ({"run": NEW}, []),
        ({"run": OLD, "dev": OLD}, ["requirements/dev.txt"]),
        ({"run": NEW, "dev": OLD}, ["requirements/dev.txt"]),
        ({"run": OLD, "dev": NEW}, []),
        ({"dev": NEW}, []),
    ],
)
def test_run_updates_the_one_environment_there_is(
    stamps: dict[str, float], installed: list[str], tmp_path: Path
) -> None:
    assert planned(tmp_path, **stamps) == installed
