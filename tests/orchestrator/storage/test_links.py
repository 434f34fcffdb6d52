"""Test the secret that processes share."""

import multiprocessing
import os
from pathlib import Path

import pytest

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
        path.write_bytes(b"another's")

    monkeypatch.setattr(os, "fsync", another_is_first)
    assert shared_secret(path) == b"another's"
    assert synced == [64]
    assert list(tmp_path.iterdir()) == [path]


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    assert shared_secret(tmp_path / "a") != shared_secret(tmp_path / "b")
