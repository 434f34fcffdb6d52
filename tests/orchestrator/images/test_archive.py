import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from orchestrator.errors import MalformedBodyError, TooManyBytesError, TooManyFilesError
from orchestrator.images.archive import unpack


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def opened(
    content: bytes, *, files: int = 10, size: int = 10_000, each: int = 5_000
) -> list[bytes]:
    return unpack(content, most_files=files, most_bytes=size, most_each=each)


def test_files_come_in_the_order_of_the_archive_without_what_systems_hide() -> None:
    content = zipped(
        ("b.png", b"1"),
        ("folder/", b""),
        ("folder/a.png", b"2"),
        (".DS_Store", b"x"),
        ("__MACOSX/b.png", b"y"),
    )
    assert opened(content) == [b"1", b"2"]


def test_a_bomb_is_refused_by_what_it_claims() -> None:
    bomb = zipped(("a.png", bytes(50_000)))
    assert len(bomb) < 500
    with pytest.raises(TooManyBytesError, match=r"^image 1: expected at most 5000 bytes, "):
        opened(bomb)
    with pytest.raises(TooManyBytesError, match=r"^expected at most 10000 bytes in all, "):
        opened(zipped(*((f"{number}.png", bytes(4_000)) for number in range(3))))
    with pytest.raises(TooManyFilesError):
        opened(zipped(*((f"{number}.png", b"") for number in range(11))))


def test_an_archive_of_countless_folders_is_refused_before_its_directory_is_read() -> None:
    assert opened(zipped(*((f"{number}/", b"") for number in range(200)))) == []
    content = zipped(*((f"{number}/", b"") for number in range(20_000)))
    lying = content[:-14] + bytes([1, 0, 1, 0]) + content[-10:]  # it has one entry, it says
    for each in (content, lying):
        tracemalloc.start()
        with pytest.raises(TooManyFilesError, match=r"^expected at most 200 entries, .* got more"):
            opened(each)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000 < len(each)


def test_folders_of_each_file_and_what_systems_hide_in_them_do_not_count_as_files() -> None:
    entries = []
    for number in range(10):
        folders = [f"{number}/", f"{number}/study/", f"{number}/study/series/"]
        files = [f"{folders[2]}a.png", *(f"{folder}.DS_Store" for folder in folders)]
        entries += [(each, bytes([number])) for each in [*folders, *files]]
        entries += [(f"__MACOSX/{each}", b"x") for each in [*folders, *files]]
    content = zipped(*((name, b"" if name.endswith("/") else each) for name, each in entries))
    assert opened(content) == [bytes([number]) for number in range(10)]


def test_a_file_that_is_too_large_is_named_by_its_place_among_the_images() -> None:
    content = zipped(("folder/", b""), ("a.png", b"1"), (".DS_Store", b"x"), ("b.png", bytes(5001)))
    with pytest.raises(TooManyBytesError, match=r"^image 2: expected at most 5000 bytes, got more"):
        opened(content)


def test_a_bomb_that_lies_about_its_size_gives_no_more_than_it_claims() -> None:
    content = zipped(("a.png", bytes(100_000)))
    lying = content.replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert lying != content
    with pytest.raises(MalformedBodyError):
        opened(lying)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 and nothing else",
        zipped(("a.png", b"1"))[:-5],
        zipped(("a.png", b"1"), method=zipfile.ZIP_LZMA),
        pytest.param(zipped(("a.png", b"12345"))[1:], id="first byte lost"),
        pytest.param(
            zipped(("a.png", b"1"))
            .replace(b"a.png", b"\xff.png")
            .replace(b"\0\0\x08\0", b"\0\x08\x08\0"),
            id="name that is no UTF-8",
        ),
        pytest.param(b"PK\x05\x06" + bytes(17), id="empty and cut short"),
    ],
)
def test_damaged_and_unusual_archives_are_refused(content: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        opened(content)


def test_an_archive_with_any_damage_is_refused_or_has_what_was_packed() -> None:
    files = [(f"{number}.png", bytes([number]) * 50) for number in range(3)]
    whole = zipped(*files)
    packed = {content for _, content in files}
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(2000):
        damaged = bytearray(whole)
        place = int(rng.integers(0, len(whole)))
        if number % 2:
            del damaged[place]
        else:
            damaged[place] ^= int(rng.integers(1, 256))
        try:
            assert set(opened(bytes(damaged))) <= packed
        except (MalformedBodyError, TooManyBytesError):
            refused += 1
    assert refused > 1000
