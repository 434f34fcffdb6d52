import csv
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import redis

from orchestrator.errors import (
    MalformedBodyError,
    TaskExpiredError,
    TaskNotFoundError,
    TooManyBytesError,
    TooManyFilesError,
)
from orchestrator.jobs.archive import unpack
from orchestrator.jobs.submit import Submission
from orchestrator.jobs.wiring import create_desk
from orchestrator.settings import Settings
from orchestrator.storage.create import create_store
from orchestrator.study import Options
from tests.support.images import gradient, png

WARNINGS = "The weights are untrained.|Adults only."


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


def test_a_batch_ends_in_one_archive_with_a_line_per_image(
    client: "redis.Redis", settings: Settings, work: Callable[..., str]
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    image = png(gradient(64, 64))
    shown, _ = desk.submit_batch(Submission([image, b"no image", image], Options(), is_batch=True))
    assert (shown["status"], shown["count"]) == ("PENDING", 3)
    work(FAKE_WARNINGS=WARNINGS)
    batch = desk.batches.find(shown["batch_id"])
    answer = batch.as_json()
    assert answer["counts"] == {"SUCCESS": 2, "FAILURE": 1}
    assert [task["index"] for task in answer["tasks"]] == [1, 2, 3]
    assert answer["tasks"][1]["code"] == "not_an_image"
    desk.forget(answer["tasks"][2]["task_id"])
    content = b"".join(desk.batches.archive(desk.batches.find(shown["batch_id"])))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0001/report.json", "0001/01_Mass.jpg", "summary.csv"]
        rows = list(csv.DictReader(io.StringIO(archive.read("summary.csv").decode())))
    assert list(rows[0]) == [
        *("index", "status", "code", "analysis_id", "findings", "Mass", "Edema", "No Finding"),
        *("model", "version", "warnings"),
    ]
    assert list(rows[0].values())[-3:] == ["densenet", "1", WARNINGS]
    assert list(rows[1].values())[-3:] == ["", "", ""]
    assert [row["status"] for row in rows] == ["SUCCESS", "FAILURE", "FORGOTTEN"]
    assert rows[0]["findings"] == "Mass"
    assert float(rows[0]["Mass"]) == pytest.approx(0.73)
    assert rows[1]["code"] == "not_an_image"


def test_an_unknown_batch_is_not_found(client: "redis.Redis", settings: Settings) -> None:
    with pytest.raises(TaskNotFoundError):
        create_desk(settings, client, create_store(settings)).batches.find("0" * 36)


def test_a_batch_is_forgotten_with_its_last_task(
    client: "redis.Redis", settings: Settings, work: Callable[..., str]
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    images = [png(gradient(64, 64))] * 2
    shown, _ = desk.submit_batch(Submission(images, Options(), is_batch=True))
    work()
    first, second = (task["task_id"] for task in shown["tasks"])
    desk.forget(first)
    assert desk.batches.find(shown["batch_id"]).as_json()["status"] == "SUCCESS"
    desk.forget(second)
    with pytest.raises(TaskNotFoundError):
        desk.batches.find(shown["batch_id"])


def test_a_batch_waits_until_a_task_begins_though_others_were_cancelled(
    client: "redis.Redis", settings: Settings
) -> None:
    desk = create_desk(settings, client, create_store(settings))
    images = [png(gradient(64, 64))] * 3
    shown, _ = desk.submit_batch(Submission(images, Options(), is_batch=True))
    desk.forget(shown["tasks"][0]["task_id"])
    found = desk.batches.find(shown["batch_id"])
    answer = found.as_json()
    assert (answer["status"], answer["counts"]) == ("PENDING", {"PENDING": 2, "FORGOTTEN": 1})
    forgotten, first, second = found.tasks
    assert first is not None
    begun = replace(found, tasks=(forgotten, replace(first, status="STARTED"), second))
    assert begun.as_json()["status"] == "STARTED"


def test_a_batch_whose_results_are_gone_has_no_archive(
    client: "redis.Redis", settings: Settings, work: Callable[..., str]
) -> None:
    desk = create_desk(replace(settings, result_ttl=1), client, create_store(settings))
    image = png(gradient(64, 64))
    shown, _ = desk.submit_batch(Submission([image, b"no image"], Options(), is_batch=True))
    work()
    batch = desk.batches.find(shown["batch_id"])
    ends = [task.result_until for task in batch.tasks if task and task.result_until]
    with patch("time.time", return_value=max(ends) - 0.5):
        assert b"".join(desk.batches.archive(batch))
    with patch("time.time", return_value=max(ends)), pytest.raises(TaskExpiredError):
        desk.batches.archive(batch)
