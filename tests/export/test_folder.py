"""Whoever asks for an hour of work is told before it that there is no place for its results."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from export.demo.cli import train_demo
from export.folder import make_folder
from export.torchxrayvision.cli import import_torchxrayvision


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b", "--output")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "arguments", "option"),
    [
        (train_demo, ["--state", "new", "--output", "a file/w.npz"], "--output"),
        (train_demo, ["--state", "a file/x", "--output", "new/w.npz"], "--state"),
        (train_demo, ["--state", "/proc/x", "--output", "new/w.npz"], "--state"),
        (import_torchxrayvision, ["a file", "--output", "a file/x/m.keras"], "--output"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_before_any_work(
    command: click.Command,
    arguments: list[str],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a file").touch()
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert f"{option}: expected a folder that can be written, got" in done.stderr
    assert "name another" in done.stderr
