import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.blobs import disk
from orchestrator.blobs.disk import DiskBlobs
from orchestrator.errors import BlobsUnavailableError


def nothing(_: Sequence[str]) -> dict[str, float]:
    """Say that no task holds any of them."""
    return {}


def test_what_was_put_is_there_until_it_is_swept_once_its_time_is_over(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path / "blobs")
    blobs.put("a", b"1", 100)
    blobs.put("a", b"2", 100)
    assert blobs.get("a") == b"2"
    past = time.time() - 1
    os.utime(tmp_path / "blobs" / "a", (past, past))
    assert blobs.get("a") == b"2"  # whatever this process' clock says
    blobs.sweep(nothing)
    assert blobs.get("a") is None
    assert list((tmp_path / "blobs").iterdir()) == []


def test_what_is_unknown_is_none_and_can_be_deleted(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path / "blobs")
    assert blobs.get("a") is None
    blobs.delete("a")
    blobs.sweep(nothing)


def test_only_its_owner_may_look_into_the_folder(tmp_path: Path) -> None:
    DiskBlobs(tmp_path / "blobs").put("a", b"1", 100)
    assert (tmp_path / "blobs").stat().st_mode & 0o077 == 0


def test_what_a_killed_process_left_unfinished_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".old").write_bytes(b"1")
    (tmp_path / ".new").write_bytes(b"1")
    long_ago = time.time() - 1000
    os.utime(tmp_path / ".old", (long_ago, long_ago))
    DiskBlobs(tmp_path).sweep(nothing)
    assert [path.name for path in tmp_path.iterdir()] == [".new"]


def test_what_can_not_be_deleted_does_not_keep_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = DiskBlobs(tmp_path)
    for name in ("a", "b", "c"):
        blobs.put(name, b"1", -1)
    (tmp_path / "lost+found").mkdir()  # of a volume that is mounted here
    os.utime(tmp_path / "lost+found", (0, 0))
    stuck = next(path for path in tmp_path.iterdir() if path.is_file())
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(BlobsUnavailableError):
        blobs.sweep(nothing)
    assert set(tmp_path.iterdir()) == {stuck, tmp_path / "lost+found"}
    monkeypatch.undo()
    blobs.sweep(nothing)
    assert list(tmp_path.iterdir()) == [tmp_path / "lost+found"]


def test_what_no_task_holds_is_swept_once_its_task_had_time_to_be_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = DiskBlobs(tmp_path)
    blobs.put("held", b"1", 100)
    blobs.put("forgotten", b"1", 100)
    blobs.sweep(lambda _: {"held": time.time() + 100})
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(disk, "_UNACCEPTED_SECONDS", -1)
    blobs.sweep(lambda _: {"held": time.time() + 100})
    assert [path.name for path in tmp_path.iterdir()] == ["held"]


@pytest.mark.parametrize("age", [100, -1])
def test_what_a_task_holds_for_longer_than_it_was_put_for_is_kept_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    """Even if nobody swept for so long that it seems to be over."""
    monkeypatch.setattr(disk, "_UNACCEPTED_SECONDS", -1)
    blobs = DiskBlobs(tmp_path)
    blobs.put("held", b"1", age)
    until = time.time() + 1000
    for _ in range(2):
        blobs.sweep(lambda _: {"held": until})
        assert (tmp_path / "held").stat().st_mtime == pytest.approx(until, abs=0.01)
        assert blobs.get("held") == b"1"


def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobsUnavailableError):
        DiskBlobs(tmp_path / "file").put("a", b"1", 100)


def test_the_name_of_what_was_put_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        opened = Path(f"/proc/self/fd/{descriptor}").resolve()
        synced.append((opened, (tmp_path / "a").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    DiskBlobs(tmp_path).put("a", b"1", 100)
    assert len(synced) == 2
    assert synced[-1] == (tmp_path, True)


def test_what_tasks_hold_is_asked_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"1")
        os.utime(tmp_path / str(number), (time.time() + 100,) * 2)
    monkeypatch.setattr(disk, "_UNACCEPTED_SECONDS", -1)
    monkeypatch.setattr(disk, "_ASKED_AT_ONCE", 2)
    asked = []

    def held(names: Sequence[str]) -> dict[str, float]:
        asked.append(len(names))
        return {name: time.time() + 100 for name in names if name in ("1", "4")}

    DiskBlobs(tmp_path).sweep(held)
    assert asked == [2, 2, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "4"]
