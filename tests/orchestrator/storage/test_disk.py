"""Test the store on the disk: names, links, replacement, deletion, retention."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.errors import (
    LinkExpiredError,
    LinkInvalidError,
    NotFoundError,
    StoreUnavailableError,
)
from orchestrator.storage.disk import DiskStore
from orchestrator.storage.links import Links
from tests.support.overlays import overlay

ANALYSIS = "0f8fad5b-d9cb-469f-a165-70867728950e"
NAME = "6c2b1f0d9e8a4735b6c1d2e3f4a59687"
OTHER_NAME = "78695a4f3e2d1c6b5374a8e9d0f1b2c6"
HOUR = 3600


def make(folder: Path, clock: Callable[[], float] = time.time) -> DiskStore:
    return DiskStore(folder / "files", Links(b"secret", HOUR, clock))


def parts(url: str) -> tuple[str, str, str]:
    """Return key, expiry and signature of a link."""
    link = urlsplit(url)
    query = parse_qs(link.query)
    return link.path.removeprefix("/files/"), query["expires"][0], query["signature"][0]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_overlays_come_back_from_their_links_in_order(tmp_path: Path) -> None:
    overlays = [overlay(file_format=each) for each in ("JPEG", "PNG", "WEBP")]
    store = make(tmp_path)
    found = [store.read(*parts(url)) for url in store.put(NAME, overlays)]
    assert found == [(each.content, each.media_type) for each in overlays]


def test_neither_links_nor_files_show_the_analysis(tmp_path: Path) -> None:
    store = make(tmp_path)
    (url,) = store.put(store.name(ANALYSIS), [overlay("Mass")])
    (path,) = files(tmp_path)
    for text in (url, str(path.relative_to(tmp_path))):
        assert ANALYSIS not in text
        assert "Mass" not in text


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    make(tmp_path).put(NAME, [overlay()])
    (path,) = files(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_putting_again_replaces(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.put(NAME, [overlay(level=1), overlay(level=2)])
    urls = store.put(NAME, [overlay(level=3), overlay(level=4)])
    assert len(files(tmp_path)) == 2
    assert store.read(*parts(urls[0]))[0] == overlay(level=3).content


def test_deleting_removes_the_files_of_that_analysis_only(tmp_path: Path) -> None:
    store = make(tmp_path)
    (gone,) = store.put(NAME, [overlay()])
    (kept,) = store.put(OTHER_NAME, [overlay()])
    store.delete(NAME)
    store.delete(NAME)
    with pytest.raises(NotFoundError):
        store.read(*parts(gone))
    assert store.read(*parts(kept))[0] == overlay().content


def test_a_link_works_until_it_expires(tmp_path: Path) -> None:
    now = 1_000_000.0
    store = make(tmp_path, lambda: now)
    (url,) = store.put(NAME, [overlay()])
    key, expires, signature = parts(url)
    assert int(expires) == 1_003_600
    now = 1_003_600.0
    store.read(key, expires, signature)
    now = 1_003_601.0
    with pytest.raises(LinkExpiredError):
        store.read(key, expires, signature)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        pytest.param(0, lambda key: key.replace("-0", "-1"), id="another picture"),
        pytest.param(0, lambda _: "../../secret", id="another path"),
        pytest.param(1, lambda expires: str(int(expires) + 1), id="later expiry"),
        pytest.param(1, lambda _: "", id="no expiry"),
        pytest.param(2, lambda signature: signature[:-1], id="cut signature"),
        pytest.param(2, lambda _: "", id="no signature"),
        pytest.param(2, lambda _: "é" * 64, id="foreign characters"),
    ],
)
def test_a_changed_link_is_refused(tmp_path: Path, part: int, change: Callable[[str], str]) -> None:
    store = make(tmp_path)
    link = list(parts(store.put(NAME, [overlay(), overlay()])[0]))
    link[part] = change(link[part])
    with pytest.raises(LinkInvalidError):
        store.read(*link)


def test_a_link_of_another_secret_is_refused(tmp_path: Path) -> None:
    (url,) = make(tmp_path).put(NAME, [overlay()])
    other = DiskStore(tmp_path / "files", Links(b"other", HOUR))
    with pytest.raises(LinkInvalidError):
        other.read(*parts(url))


@pytest.mark.parametrize("key", ["../files.secret", "..%2ffiles.secret", "a" * 32, "", "\0"])
def test_a_signature_alone_opens_no_other_file(tmp_path: Path, key: str) -> None:
    store = make(tmp_path)
    (tmp_path / "files.secret").write_bytes(b"secret")
    with pytest.raises(NotFoundError):
        store.read(*parts(Links(b"secret", HOUR).sign(key)))


def test_pictures_are_on_the_disk_before_anybody_hears_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        opened = Path(f"/proc/self/fd/{descriptor}").resolve()
        synced.append((opened, len(list(tmp_path.rglob("*-?.jpg")))))

    monkeypatch.setattr(os, "fsync", fsync)
    make(tmp_path).put(NAME, [overlay(), overlay()])
    shard = tmp_path / "files" / NAME[:2]
    assert [path.parent for path, _ in synced[:2]] == [shard, shard]
    assert synced[2:] == [(shard, 2), (tmp_path / "files", 2)]


def test_what_is_older_than_its_links_is_swept(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.put(OTHER_NAME, [overlay(), overlay()])
    for path in files(tmp_path):
        os.utime(path, (time.time() - HOUR - 5,) * 2)
    (kept,) = store.put(NAME, [overlay()])
    assert store.sweep() == 2
    assert store.sweep() == 0
    assert store.read(*parts(kept))[0] == overlay().content


def test_a_file_that_can_not_be_deleted_does_not_keep_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path)
    store.put(NAME, [overlay(), overlay(), overlay()])
    stuck = files(tmp_path)[0]
    for path in files(tmp_path):
        os.utime(path, (0, 0))
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(
        StoreUnavailableError, match=r"can't be deleted \(Operation not permitted\)"
    ):
        store.sweep()
    assert files(tmp_path) == [stuck]


def test_a_picture_that_can_not_be_read_now_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path)
    (link,) = store.put(NAME, [overlay()])

    def refuse(_: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreUnavailableError, match=r"can't be read \(Too many open files\)"):
        store.read(*parts(link))


def test_drafts_of_dead_processes_are_swept(tmp_path: Path) -> None:
    draft = tmp_path / "files" / "ab" / ".draft-x"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half")
    os.utime(draft, (0, 0))
    assert make(tmp_path).sweep() == 1


def test_drafts_of_dead_processes_are_deleted_with_what_they_were_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Ends the process at once, so to say."""

    def killed(*_: object) -> None:
        raise Killed

    store = make(tmp_path)
    for name in (NAME, OTHER_NAME):
        store.put(name, [overlay()])
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", killed)
            with pytest.raises(Killed):
                store.put(name, [overlay(), overlay()])
    before = set(files(tmp_path))
    store.delete(NAME)
    deleted = before - set(files(tmp_path))
    assert len(before) == 4
    assert len(deleted) == 2
    assert all(NAME in path.name for path in deleted)


def test_a_folder_that_cant_be_written_is_unavailable_and_named(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailableError, match="DATA_DIR"):
        make(tmp_path).put(NAME, [overlay()])


def test_a_failed_write_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreUnavailableError, match="No space left"):
        make(tmp_path).put(NAME, [overlay()])
    assert files(tmp_path) == []
