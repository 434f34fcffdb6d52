import errno
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client.client import ClientError
from orchestrator.client.unpack import unpack
from orchestrator.package import as_zip
from orchestrator.study import Analysis
from tests.support.overlays import overlay
from tests.support.reports import report


def archive(*pictures: str) -> bytes:
    """Return a result with pictures of these names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr(
            "report.json", json.dumps({"overlays": [{"file": each} for each in pictures]})
        )
        for name in pictures:
            opened.writestr(name, b"picture")
    return buffer.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_of_an_earlier_result_go_and_nothing_else(tmp_path: Path) -> None:
    unpack(archive("01_Mass.jpg", "02_Edema.jpg"), tmp_path)
    for name in ("03_Mass.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"somebody's")
    unpack(archive("01_Edema.jpg"), tmp_path)
    assert names(tmp_path) == ["01_Edema.jpg", "03_Mass.jpg", "notes.txt", "report.json"]
    unpack(archive(), tmp_path)
    assert names(tmp_path) == ["03_Mass.jpg", "notes.txt", "report.json"]


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_known_by_the_names_that_the_service_gives_them(
    file_format: str, tmp_path: Path
) -> None:
    pictures = tuple(overlay(label, file_format=file_format) for label in ("No Finding", "Ödem"))
    unpack(as_zip(Analysis(report({"No Finding": 0.75, "Ödem": 0.75}), pictures * 60)), tmp_path)
    assert len(names(tmp_path)) == 121
    unpack(archive(), tmp_path)
    assert names(tmp_path) == ["report.json"]


@pytest.mark.parametrize(
    "earlier",
    [
        {"overlays": [{"file": "../precious.jpg"}, {"file": "../01_precious.jpg"}]},
        {"overlays": [{"file": "notes.txt"}, {"file": None}]},
        {"overlays": [1]},
        {"overlays": None},
        [],
        "no report",
    ],
)
def test_what_somebody_elses_report_names_stays(earlier: Any, tmp_path: Path) -> None:
    folder = tmp_path / "result"
    folder.mkdir()
    kept = [tmp_path / "precious.jpg", tmp_path / "01_precious.jpg", folder / "notes.txt"]
    for path in kept:
        path.write_bytes(b"somebody's")
    (folder / "report.json").write_text(json.dumps(earlier))
    unpack(archive("01_Mass.jpg"), folder)
    assert all(path.exists() for path in kept)
    assert (folder / "01_Mass.jpg").exists()


def test_a_report_that_can_not_be_read_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b"\xff{")
    assert unpack(archive(), tmp_path) == {"overlays": []}
    assert json.loads((tmp_path / "report.json").read_bytes()) == {"overlays": []}


def test_a_result_that_can_not_be_written_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(archive("01_Mass.jpg"), tmp_path / "there")
    before = (tmp_path / "there" / "report.json").read_bytes()

    def extractall(_: zipfile.ZipFile, folder: str) -> None:
        (Path(folder) / "report.json").write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", extractall)
    for folder in (tmp_path / "there", tmp_path / "new"):
        with pytest.raises(ClientError, match="expected to write the result, got: No space left"):
            unpack(archive("01_Edema.jpg"), folder)
    assert names(tmp_path / "there") == ["01_Mass.jpg", "report.json"]
    assert (tmp_path / "there" / "report.json").read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_bytes_that_are_no_result_change_nothing(tmp_path: Path) -> None:
    unpack(archive("01_Mass.jpg"), tmp_path)
    with pytest.raises(ClientError, match="is this the service"):
        unpack(b"<html>", tmp_path)
    assert names(tmp_path) == ["01_Mass.jpg", "report.json"]
