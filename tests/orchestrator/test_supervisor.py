import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.supervisor import Child, stop_all
from tests.support.processes import lives
from tests.support.waiting import eventually

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.{})
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""


def test_a_child_that_dies_is_started_again() -> None:
    child = Child("sleeper", SLEEP)
    child.tend(time.monotonic())
    first = child.pid
    assert first is not None
    os.kill(first, 9)

    def is_back() -> bool:
        child.tend(time.monotonic())
        return child.pid not in (None, first)

    eventually(is_back)
    stop_all([child])
    assert child.pid is None


def test_restarts_come_slower_while_they_keep_failing() -> None:
    child = Child("failing", [sys.executable, "-c", "raise SystemExit(3)"])
    moment = time.monotonic()
    starts = 0
    for _ in range(400):  # forty seconds of the supervisor's own clock
        moment += 0.1
        was_running = child.pid is not None
        child.tend(moment)
        starts += child.pid is not None and not was_running
        eventually(lambda: child.pid is None)
    # at once, then after 0.5, 1, 2, 4, 8 and 16 seconds
    assert starts == 7


def test_a_process_that_can_not_be_made_now_is_made_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    child = Child("sleeper", SLEEP)
    with monkeypatch.context() as full:
        full.setattr(subprocess, "Popen", refuse)
        child.tend(100.0)
        child.tend(100.4)
    assert [record.__dict__["error"] for record in caplog.records] == [
        "Resource temporarily unavailable"
    ]
    child.tend(100.4)
    too_early = child.pid
    child.tend(100.6)
    assert (too_early is None, child.pid is None) == (True, False)
    stop_all([child])


def test_a_child_gets_its_environment_on_top_of_ours(tmp_path: Path) -> None:
    script = "import os, sys; open(sys.argv[1], 'w').write(os.environ['PORT'] + os.environ['PATH'])"
    target = tmp_path / "seen"
    child = Child("writer", [sys.executable, "-c", script, str(target)], {"PORT": "5001"})
    child.start()
    eventually(lambda: child.pid is None)
    assert target.read_text() == "5001" + os.environ["PATH"]


@pytest.mark.parametrize(
    ("on_sigterm", "grace"),
    [
        pytest.param("SIG_IGN", 0.2, id="it is killed after the grace"),
        pytest.param("SIG_DFL", 10, id="it ends as it is asked to"),
    ],
)
def test_nothing_that_a_child_started_is_left_behind(on_sigterm: str, grace: float) -> None:
    child = Child("parent", [sys.executable, "-c", PARENT.format(on_sigterm)])
    child.start()
    family = psutil.Process(child.pid)
    eventually(lambda: family.children() != [])
    (grandchild,) = family.children()
    child.ask_to_stop()
    child.stop(time.monotonic() + grace)
    assert not lives(family)
    eventually(lambda: not lives(grandchild))


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "import sys, time; from orchestrator.supervisor import Child\n"
        f"child = Child('c', {SLEEP!r}); child.start()\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(600)"
    )
    parent = psutil.Popen([sys.executable, "-c", script])
    eventually(lambda: pid_file.exists() and pid_file.read_text() != "")
    orphan = psutil.Process(int(pid_file.read_text()))
    parent.kill()
    parent.wait()
    eventually(lambda: not lives(orphan))
