"""What looks after tasks, on a real Redis."""

import os
import time
from dataclasses import replace

import pytest
import redis

from orchestrator.jobs import keys
from orchestrator.jobs.care import Caretaker
from orchestrator.jobs.wiring import create_caretakers
from orchestrator.settings import Settings
from orchestrator.storage.create import create_store


def test_of_several_one_comes_as_often_as_it_should(client: "redis.Redis") -> None:
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


@pytest.mark.parametrize("blobs", ["disk", "redis"])
def test_blobs_on_the_disk_are_swept_about_once_a_minute(
    client: "redis.Redis", settings: Settings, blobs: str
) -> None:
    """Those, too, that lie there from a time before they were kept in Redis."""
    old = settings.data_dir / "blobs" / "upload-old"
    old.parent.mkdir()
    old.write_bytes(b"1")
    os.utime(old, (0, 0))
    carers = create_caretakers(replace(settings, blobs=blobs), create_store(settings))
    for carer in carers:
        carer.start()
    until = time.monotonic() + 20
    while old.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    for carer in carers:
        carer.stop()
    assert 50_000 < client.pttl(keys.SWEEP_TICK) < 60_000
