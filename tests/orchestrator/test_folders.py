import time
from pathlib import Path

import pytest

from orchestrator.folders import write_whole


def test_a_file_replaces_the_one_before_with_its_own_mode_and_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    write_whole(path, b"after", mode=0o600, ahead=100)
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mtime == pytest.approx(time.time() + 100, abs=10)
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_put_into_place_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
