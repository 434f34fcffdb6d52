"""What looks after tasks, on a real Redis."""

import logging
import os
import time
from dataclasses import replace

import pytest
import redis

from orchestrator.jobs import keys
from orchestrator.jobs.care import Caretaker
from orchestrator.jobs.wiring import create_caretakers
from orchestrator.settings import Settings
from orchestrator.stats.statistics import Statistics
from orchestrator.storage.create import create_store
from tests.support.overlays import overlay
from tests.support.reports import record, report
from tests.support.waiting import eventually


def test_of_several_one_comes_as_often_as_it_should(client: redis.Redis) -> None:
    often: list[None] = []
    seldom: list[None] = []
    carers = [
        *(Caretaker(client, "often", [lambda: often.append(None)]) for _ in range(2)),
        *(Caretaker(client, "seldom", [lambda: seldom.append(None)], every=60) for _ in range(2)),
    ]
    for carer in carers:
        carer.start()
    time.sleep(3.5)
    for carer in carers:
        carer.stop()
    assert 2 <= len(often) <= 4
    assert len(seldom) == 1


def test_a_key_from_before_redis_clock_was_set_back_keeps_nobody_waiting(
    client: redis.Redis,
) -> None:
    done: list[None] = []
    client.set("key", b"1", px=3_600_000)
    carer = Caretaker(client, "key", [lambda: done.append(None)])
    carer.start()
    eventually(lambda: bool(done))
    carer.stop()
    assert client.pttl("key") < 1000


@pytest.mark.parametrize("blobs", ["disk", "redis"])
def test_blobs_on_the_disk_are_swept_about_once_a_minute(
    client: redis.Redis, settings: Settings, blobs: str
) -> None:
    """Those, too, that lie there from a time before they were kept in Redis."""
    old = settings.data_dir / "blobs" / "upload-old"
    old.parent.mkdir()
    old.write_bytes(b"1")
    os.utime(old, (0, 0))
    carers = create_caretakers(replace(settings, blobs=blobs), create_store(settings))
    for carer in carers:
        carer.start()
    eventually(lambda: not old.exists())
    for carer in carers:
        carer.stop()
    assert 50_000 < client.pttl(keys.SWEEP_TICK) < 60_000


def test_statistics_are_kept_as_long_as_the_setting_says_by_now(
    client: redis.Redis, settings: Settings
) -> None:
    before = Statistics(client, 30)
    record(before, report({"Mass": 0.5}))
    day = f"cxr:stats:day:{before.today}"
    end = client.expiretime(day)
    carers = create_caretakers(replace(settings, stats_retention_days=400), create_store(settings))
    for carer in carers:
        carer.start()
    eventually(lambda: client.expiretime(day) == end + 370 * 86_400)
    for carer in carers:
        carer.stop()


def test_pictures_are_swept_in_every_process(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "orchestrator")
    store = create_store(settings)
    for _ in range(2):
        store.put(store.name("a"), [overlay()])
        (picture,) = settings.data_dir.glob("files/*/*-0.*")
        os.utime(picture, (0, 0))
        carers = create_caretakers(settings, store)
        for carer in carers:
            carer.start()
        eventually(lambda: not any(settings.data_dir.glob("files/*/*-0.*")))
        for carer in carers:
            carer.stop()
    assert caplog.messages.count("files swept") == 2
