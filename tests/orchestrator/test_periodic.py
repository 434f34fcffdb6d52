import threading
import time

import pytest

from orchestrator import periodic
from orchestrator.errors import StoreUnavailableError
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


@pytest.mark.parametrize(("every", "soon"), [(0.01, True), (60.0, False)])
def test_the_first_time_comes_at_once_and_the_others_as_seldom_as_told(
    monkeypatch: pytest.MonkeyPatch, every: float, soon: bool
) -> None:
    monkeypatch.setattr(periodic, "PERIOD_SECONDS", 0.01)
    times = threading.Semaphore(0)
    thread = PeriodicThread("test", times.release, every)
    thread.start()
    assert times.acquire(timeout=10)
    assert times.acquire(timeout=1 if not soon else 10) is soon
    thread.stop()


def test_what_fails_is_logged_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(periodic, "PERIOD_SECONDS", 0.01)
    outcomes: list[Exception | None] = [
        StoreUnavailableError("away"),
        StoreUnavailableError("away"),
        None,
        StoreUnavailableError("away"),
        ValueError("a defect"),
    ]
    done = threading.Event()

    def work() -> None:
        outcome = outcomes.pop(0)
        if not outcomes:
            done.set()
        if outcome is not None:
            raise outcome

    thread = PeriodicThread("sweeper", work, 0.01)
    thread.start()
    assert done.wait(10)
    thread.stop()
    assert caplog.messages[:3] == ["sweeper waits", "sweeper waits", "sweeper failed"]
    assert caplog.records[0].__dict__["why"] == "away"
