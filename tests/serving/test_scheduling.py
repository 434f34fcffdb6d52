"""Test how a process asks for its share of the processors."""

import os
import subprocess
import sys
import threading

import pytest

from serving.scheduling import give_way, work_in_batches


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no SCHED_BATCH")
def test_threads_that_start_later_work_in_batches_too() -> None:
    program = (
        "import os, threading; from serving.scheduling import work_in_batches; work_in_batches();"
        "thread = threading.Thread(target=lambda: print(os.sched_getscheduler(0)));"
        "thread.start(); thread.join()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(os.SCHED_BATCH)], done.stderr


def test_a_system_that_forbids_it_is_borne(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def refuse(*_: object) -> None:
        asked.set()
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse, raising=False)
    work_in_batches()
    assert asked.is_set()


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are Unix'")
def test_who_gives_way_has_a_lower_priority() -> None:
    program = "import os; from serving.scheduling import give_way; give_way(); print(os.nice(0))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert int(done.stdout) == min(os.nice(0) + 5, 19), done.stderr  # 19 is the lowest there is


def test_a_system_that_forbids_to_give_way_is_borne(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(increment: int) -> int:
        asked.append(increment)
        raise PermissionError

    monkeypatch.setattr(os, "nice", refuse, raising=False)
    give_way()
    assert asked == [5]
