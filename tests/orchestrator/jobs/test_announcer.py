"""Test that stages that last are announced, and those that don't are not."""

import threading
import time

import pytest

from orchestrator.errors import RedisUnavailableError
from orchestrator.jobs.announcer import Announcer


class Told:
    """Keep what was told; fail as often as it is asked to."""

    def __init__(self, failures: int = 0, failure: Exception | None = None) -> None:
        self.stages: list[tuple[str, str]] = []
        self.failures = failures
        self.failure = failure or RedisUnavailableError("away")
        self.came = threading.Event()

    def __call__(self, task_id: str, stage: str) -> None:
        if self.failures:
            self.failures -= 1
            raise self.failure
        self.stages.append((task_id, stage))
        self.came.set()


def test_a_stage_that_lasts_is_told_once() -> None:
    told = Told()
    announcer = Announcer(told)
    announcer.begin("a", "predicting")
    assert told.came.wait(20)
    time.sleep(0.4)
    assert told.stages == [("a", "predicting")]


def test_a_stage_that_is_over_at_once_is_not_told() -> None:
    told = Told()
    announcer = Announcer(told)
    for stage in ("predicting", "rendering", "storing"):
        announcer.begin("a", stage)
    announcer.begin("b", "predicting")
    assert told.came.wait(20)
    assert told.stages == [("b", "predicting")]


def test_nothing_is_told_of_a_task_that_has_ended() -> None:
    told = Told()
    announcer = Announcer(told)
    announcer.begin("a", "storing")
    announcer.end()
    assert not told.came.wait(0.5)


def test_the_same_stage_of_the_next_task_is_told_too() -> None:
    told = Told()
    announcer = Announcer(told)
    for task in ("a", "b"):
        told.came.clear()
        announcer.begin(task, "predicting")
        assert told.came.wait(20)
    assert told.stages == [("a", "predicting"), ("b", "predicting")]


def test_what_could_not_be_told_is_told_later() -> None:
    told = Told(failures=2)
    Announcer(told).begin("a", "predicting")
    assert told.came.wait(20)
    assert told.stages == [("a", "predicting")]


def test_a_defect_is_logged_and_the_looking_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(failures=1, failure=ValueError("a defect"))
    Announcer(told).begin("a", "predicting")
    assert told.came.wait(20)
    assert caplog.messages == ["stage not told"]
