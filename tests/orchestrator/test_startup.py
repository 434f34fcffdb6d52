"""Commands that start a part of the service end with the sentence that says which setting is wrong."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.settings import Settings
from orchestrator.startup import require_data_dir

OTHERS = "orchestrator.worker, orchestrator.up, orchestrator.dashboard, orchestrator.publish_model"
SCRIPT = f"""
import sys
import {OTHERS}
print(sorted({{"uvicorn", "orchestrator.app"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("command", ["serve", "worker", "up", "dashboard", "publish-model models"])
@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("PORT", "many", "Error: PORT: expected "),
        ("THRESHOLDS", "no-such-file", "Error: THRESHOLDS: "),
    ],
)
def test_a_setting_that_is_wrong_ends_every_command(
    command: str, setting: str, value: str, said: str
) -> None:
    ended = CliRunner().invoke(main, command.split(), env={setting: value})
    assert ended.exit_code == 1
    assert ended.output.startswith(said)


@pytest.mark.parametrize("command", ["serve", "worker", "up"])
def test_a_data_folder_that_cannot_be_one_ends_the_commands_that_write_to_it(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = CliRunner().invoke(main, command, env={"DATA_DIR": str(tmp_path / "file")})
    assert ended.exit_code == 1
    assert ended.output.startswith("Error: DATA_DIR: expected a folder ")


def test_a_data_folder_that_can_be_written_to_is_made(tmp_path: Path) -> None:
    require_data_dir(Settings.from_mapping({"DATA_DIR": str(tmp_path / "new")}))
    assert list((tmp_path / "new").iterdir()) == []


def test_one_that_can_not_is_refused_naming_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings.from_mapping({"DATA_DIR": str(tmp_path / "file" / "data")})
    with pytest.raises(
        click.ClickException, match=r"^DATA_DIR: expected a folder .*Not a directory"
    ):
        require_data_dir(settings)


def test_nothing_but_serve_loads_the_application() -> None:
    run = [sys.executable, "-c", SCRIPT]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
