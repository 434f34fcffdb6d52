"""Test the secret that processes share."""

import multiprocessing
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.settings import SettingsError
from orchestrator.storage.links import shared_secret


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "files.secret"
    secret = shared_secret(path)
    assert shared_secret(path) == secret
    assert len(secret) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        assert len(set(pool.map(shared_secret, [tmp_path / "secret"] * 32, chunksize=1))) == 1


def test_the_first_secret_stays_and_is_on_the_disk_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    sync, synced = os.fsync, []

    def another_is_first(descriptor: int) -> None:
        sync(descriptor)
        synced.append(os.fstat(descriptor).st_size)
        path.write_bytes(b"another's" * 8)

    monkeypatch.setattr(os, "fsync", another_is_first)
    assert shared_secret(path) == b"another's" * 8
    assert synced == [64]
    assert list(tmp_path.iterdir()) == [path]


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    assert shared_secret(tmp_path / "a") != shared_secret(tmp_path / "b")


@pytest.mark.parametrize("left", [0, 63])
def test_what_a_full_disk_has_left_of_a_secret_is_none(tmp_path: Path, left: int) -> None:
    path = tmp_path / "files.secret"
    path.write_bytes(shared_secret(tmp_path / "whole")[:left])
    with pytest.raises(
        SettingsError, match=rf"^DATA_DIR: expected files\.secret .* got {left} bytes"
    ):
        shared_secret(path)


@pytest.mark.parametrize("command", ["serve", "worker", "up"])
def test_a_secret_that_can_not_be_read_stops_the_start_with_a_sentence(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "files.secret").mkdir()  # root reads any file
    answer = CliRunner().invoke(main, [command], env={"DATA_DIR": str(tmp_path), "ACCESS": "open"})
    assert answer.exit_code == 1
    assert "got one that can't be read (Is a directory); restore it" in answer.output
