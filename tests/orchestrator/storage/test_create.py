"""Test which store the settings choose."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.settings import Settings, SettingsError
from orchestrator.storage.cloud import CloudStore
from orchestrator.storage.create import create_store, keeps_on_disk
from orchestrator.storage.disk import DiskStore
from tests.support.cloudinary_server import API_KEY, API_SECRET, CLOUD, cloudinary_server
from tests.support.overlays import overlay

ACCOUNT = {
    "CLOUDINARY_CLOUD_NAME": "demo",
    "CLOUDINARY_API_KEY": "874837483274837",
    "CLOUDINARY_API_SECRET": "a676b67565c6767a6767d6767f676fe1",
}


def test_without_an_account_files_go_to_the_disk(tmp_path: Path) -> None:
    store = create_store(Settings.from_mapping({"DATA_DIR": str(tmp_path)}))
    assert isinstance(store, DiskStore)
    store.put(store.name("a"), [overlay()])
    assert (tmp_path / "files").is_dir()


def test_processes_with_one_data_folder_read_each_others_links(tmp_path: Path) -> None:
    settings = Settings.from_mapping({"DATA_DIR": str(tmp_path)})
    one, other = create_store(settings), create_store(settings)
    assert isinstance(other, DiskStore)
    (url,) = one.put(one.name("a"), [overlay()])
    link = urlsplit(url)
    query = parse_qs(link.query)
    key = link.path.removeprefix("/files/")
    assert other.read(key, query["expires"][0], query["signature"][0])[0] == overlay().content
    assert one.name("a") == other.name("a")


def test_with_a_given_secret_none_is_written(tmp_path: Path) -> None:
    create_store(Settings.from_mapping({"DATA_DIR": str(tmp_path), "FILES_SECRET": "s3cret"}))
    assert list(tmp_path.iterdir()) == []


def test_an_account_makes_cloudinary_the_store(tmp_path: Path) -> None:
    store = create_store(Settings.from_mapping({"DATA_DIR": str(tmp_path), **ACCOUNT}))
    assert isinstance(store, CloudStore)
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_time_before_the_account_are_deleted_and_swept_all_the_same(
    tmp_path: Path,
) -> None:
    before = create_store(Settings.from_mapping({"DATA_DIR": str(tmp_path), "FILES_TTL": "60"}))
    names = [before.name(analysis) for analysis in ("a", "b", "c")]
    for name in names:
        before.put(name, [overlay()])
    with cloudinary_server() as cloud:
        store = create_store(
            Settings.from_mapping(
                {
                    "DATA_DIR": str(tmp_path),
                    "FILES_TTL": "60",
                    "CLOUDINARY_CLOUD_NAME": CLOUD,
                    "CLOUDINARY_API_KEY": API_KEY,
                    "CLOUDINARY_API_SECRET": API_SECRET,
                    "CLOUDINARY_UPLOAD_PREFIX": cloud.url,
                }
            )
        )
        store.put(names[0], [overlay()])
        assert len(cloud.assets) == 1
        store.delete(names[0])
        assert len(cloud.assets) == 0
    left = sorted(path for path in tmp_path.rglob("*-0.*"))
    assert sorted(path.name[:32] for path in left) == sorted(names[1:])
    os.utime(left[0], (0, 0))
    assert store.sweep() == 1
    assert list(tmp_path.rglob("*-0.*")) == left[1:]


@pytest.mark.parametrize("name", ACCOUNT)
def test_half_an_account_is_refused_naming_what_is_missing(name: str) -> None:
    half = {key: value for key, value in ACCOUNT.items() if key != name}
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_mapping(half)


def test_secrets_are_not_shown_with_the_settings() -> None:
    shown = repr(Settings.from_mapping({**ACCOUNT, "FILES_SECRET": "s3cret"}))
    assert ACCOUNT["CLOUDINARY_API_SECRET"] not in shown
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("more", "kept"), [({}, True), (ACCOUNT, False), ({**ACCOUNT, "BLOBS": "disk"}, True)]
)
def test_the_disk_is_used_without_an_account_or_for_blobs(more: dict[str, str], kept: bool) -> None:
    assert keeps_on_disk(Settings.from_mapping(more)) is kept
