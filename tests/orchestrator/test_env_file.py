"""Commands take settings from ``.env`` as well, and the environment wins over it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.env_file import load_env_file

EXPECTED = "expected a file of lines NAME=value in UTF-8, got"


def start(folder: Path, **environment: str) -> str:
    """Return what `cxr serve` says in a folder, where a wrong setting ends it at once."""
    inherited = {name: value for name, value in os.environ.items() if name != "CXR_ENV_FILE"}
    ended = subprocess.run(
        [sys.executable, "-m", "orchestrator", "serve"],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2])} | inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    return ended.stderr


def test_settings_are_read_from_the_file_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# the stack's\nLOG_LEVEL='info'\nPORT=many # a comment\n")
    assert "PORT: expected " in start(tmp_path)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=many\nREQUEST_THREADS=few\n")
    assert "REQUEST_THREADS: expected " in start(tmp_path, PORT="0")


def test_another_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=many\n")
    (tmp_path / "other.env").write_text("REQUEST_THREADS=few\n")
    assert "REQUEST_THREADS: expected " in start(tmp_path, CXR_ENV_FILE="other.env")


def test_a_named_file_that_is_not_there_ends_the_command(tmp_path: Path) -> None:
    assert f"CXR_ENV_FILE: {EXPECTED} none" in start(tmp_path, CXR_ENV_FILE="other.env")


def test_a_folder_of_that_name_is_no_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert "PORT: expected " in start(tmp_path, PORT="many")


@pytest.mark.parametrize("content", [b"PORT=\xff\n", "PORT=5000\n".encode("utf-16")])
def test_a_file_in_another_encoding_ends_the_command(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    assert f".env: {EXPECTED} other bytes" in start(tmp_path)


def test_a_mark_of_byte_order_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=many\n", encoding="utf-8-sig")
    assert "PORT: expected " in start(tmp_path)


@pytest.mark.parametrize("line", ["ACCESS: keys", 'API_KEYS="ward7:predict:0123'])
def test_a_line_that_is_none_ends_the_command_and_is_not_shown(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"LOG_LEVEL=info\n{line}\nPORT=0\n")
    said = start(tmp_path)
    assert f".env: {EXPECTED} something else from line 2 on" in said
    assert line not in said


def test_values_are_taken_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text(
        "CXR_TEST_A='p${x}q$$'\nCXR_TEST_B=a$HOME # b\nCXR_ENV_FILE=elsewhere\n", encoding="utf-8"
    )
    monkeypatch.setenv("CXR_ENV_FILE", str(tmp_path / "a"))
    for name in ("CXR_TEST_A", "CXR_TEST_B"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    load_env_file()
    assert (os.environ["CXR_TEST_A"], os.environ["CXR_TEST_B"]) == ("p${x}q$$", "a$HOME")
    assert os.environ["CXR_ENV_FILE"] == str(tmp_path / "a")
