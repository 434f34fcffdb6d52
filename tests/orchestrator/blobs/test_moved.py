"""What was put where the settings had blobs before is found and goes as what is put now."""

import os
import time
from pathlib import Path

from orchestrator.blobs.disk import DiskBlobs
from orchestrator.blobs.moved import MovedBlobs


def test_blobs_are_put_in_one_place_and_found_in_both(tmp_path: Path) -> None:
    now, before = DiskBlobs(tmp_path / "now"), DiskBlobs(tmp_path / "before")
    before.put("old", b"1", 100)
    blobs = MovedBlobs(now, before)
    blobs.put("new", b"2", 100)
    assert (blobs.get("old"), blobs.get("new"), blobs.get("none")) == (b"1", b"2", None)
    assert (before.get("new"), now.get("new")) == (None, b"2")


def test_blobs_are_deleted_in_both_places(tmp_path: Path) -> None:
    now, before = DiskBlobs(tmp_path / "now"), DiskBlobs(tmp_path / "before")
    now.put("a", b"1", 100)
    before.put("a", b"1", 100)
    MovedBlobs(now, before).delete("a")
    assert (now.get("a"), before.get("a")) == (None, None)


def test_both_places_are_swept(tmp_path: Path) -> None:
    now, before = DiskBlobs(tmp_path / "now"), DiskBlobs(tmp_path / "before")
    past = time.time() - 1
    for folder, blobs in (("now", now), ("before", before)):
        blobs.put("a", b"1", 100)
        os.utime(tmp_path / folder / "a", (past, past))
    MovedBlobs(now, before).sweep(lambda _: {})
    assert not [*tmp_path.glob("*/a")]
