import threading
import time

import pytest

from orchestrator import periodic
from orchestrator.periodic import PeriodicThread


def test_work_that_hangs_does_not_keep_its_process_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(periodic, "PERIOD_SECONDS", 0.01)
    monkeypatch.setattr(periodic, "_END_SECONDS", 0.1)
    begun, released = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        released.wait(60)

    thread = PeriodicThread("test", hang)
    thread.start()
    assert begun.wait(10)
    begin = time.monotonic()
    thread.stop()
    assert time.monotonic() - begin < 30
    assert thread.stopping
    released.set()


def test_work_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "PERIOD_SECONDS", 0.01)
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.3)
        done.set()

    thread = PeriodicThread("test", work)
    thread.start()
    assert begun.wait(10)
    thread.stop()
    assert done.is_set()
