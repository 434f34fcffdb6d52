"""Test how a process asks for its share of the processors."""

import os
import subprocess
import sys
import threading

import pytest

from serving.scheduling import work_in_batches


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
