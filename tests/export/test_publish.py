"""Check that versions appear whole or not at all."""

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from export.errors import ExportError
from export.publish import aside, publish, versions


def write_and_publish(output: Path) -> Path:
    with aside(output) as directory:
        (directory / "saved_model.pb").write_bytes(b"graph")
        return publish(directory, output)


def test_versions_count_up_from_the_highest(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    assert write_and_publish(tmp_path).name == "8"
    assert versions(tmp_path) == [7, 8]


def test_a_crash_between_writing_and_renaming_leaves_no_version(tmp_path: Path) -> None:
    def crash() -> None:
        with aside(tmp_path) as directory:
            (directory / "saved_model.pb").write_bytes(b"half a graph")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_exporter_left_is_removed_a_day_later(tmp_path: Path) -> None:
    for name, age in (("old", 90_000), ("new", 60)):
        left = tmp_path / f".export-{name}"
        left.mkdir()
        os.utime(left, (0, time.time() - age))
    write_and_publish(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".export-new", "1"]


def test_what_is_being_written_is_no_version(tmp_path: Path) -> None:
    with aside(tmp_path) as directory:
        assert directory.parent == tmp_path
        assert not directory.name.isdecimal()
        assert versions(tmp_path) == []


def test_exporters_that_finish_together_each_get_a_version(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(write_and_publish, [tmp_path] * 24))
    assert sorted(int(path.name) for path in published) == list(range(1, 25))
    assert all((path / "saved_model.pb").read_bytes() == b"graph" for path in published)


def test_a_server_that_runs_as_another_user_may_read_a_version(tmp_path: Path) -> None:
    version = write_and_publish(tmp_path)
    assert stat.S_IMODE(version.stat().st_mode) == 0o755
    assert stat.S_IMODE((version / "saved_model.pb").stat().st_mode) == 0o644


def test_a_folder_that_is_not_there_has_no_versions(tmp_path: Path) -> None:
    assert versions(tmp_path / "nowhere") == []


@pytest.mark.parametrize("below", ["", "densenet"])
def test_a_file_is_no_folder_to_publish_in(below: str, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(ExportError, match="name another with --output"):
        write_and_publish(tmp_path / "models" / below)
