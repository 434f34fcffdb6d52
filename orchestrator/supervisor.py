"""Start processes, start them again when they die, and stop every one of them at the end."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0
_HEALTHY_AFTER: Final = 60.0  # a process that ran this long starts again without delay
_GRACE: Final = 15.0


@dataclass
class Child:
    """One process that is to be running.

    Attributes:
        name: What the log calls it.
        command: Program and arguments.
        environment: Variables to set on top of this process's own.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _started: float = 0.0
    _delay: float = _FIRST_DELAY
    _due: float = 0.0

    @property
    def pid(self) -> int | None:
        """Return the process id, or None while it isn't running."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and running else None

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - our own commands
            self.command,
            env={**_inherited(), **self.environment},
            start_new_session=True,
            preexec_fn=_IN_CHILD,
        )

    def tend(self, now: float) -> None:
        """Start the process again if it has ended, after a delay that grows while it keeps ending or can't be made."""
        if self._process is None:
            if now >= self._due:
                self._try_to_start(now)
            return
        status = self._process.poll()
        if status is None:
            return
        self._delay = _FIRST_DELAY if now - self._started > _HEALTHY_AFTER else self._delay
        self._process = None
        self._put_off(now, "process ended", exit_status=status)

    def _try_to_start(self, now: float) -> None:
        """Start the process, or put it off where the system has no room for one more."""
        try:
            self.start()
        except OSError as err:
            self._put_off(now, "process not started", error=err.strerror)

    def _put_off(self, now: float, why: str, **fields: Any) -> None:
        fields |= {"child": self.name, "restart_in_seconds": self._delay}
        _log.error(why, extra=fields)
        self._due = now + self._delay
        self._delay = min(2 * self._delay, _LONGEST_DELAY)

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, deadline: float) -> None:
        """Wait for the end until a moment of the monotonic clock, then kill the whole process group."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("process killed", extra={"child": self.name})
        _kill_group(self._process.pid)
        self._process.wait()


def run(command: Sequence[str]) -> None:
    """Run a process to its end, which on Linux is this one's at the latest.

    Raises:
        subprocess.CalledProcessError: Its exit status is not 0.
    """
    subprocess.run(command, check=True, preexec_fn=_IN_CHILD)  # noqa: S603 - our own commands


def stop_all(children: Sequence[Child]) -> None:
    """Stop every child, the last started first to be asked, within one common time of grace."""
    deadline = time.monotonic() + _GRACE
    for child in reversed(children):
        child.ask_to_stop()
    for child in reversed(children):
        child.stop(deadline)


def _kill_group(group: int) -> None:
    """Kill what a child may have left behind in its session."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def die_with_parent(number: int) -> None:
    """Ask Linux to send this process a signal when its parent dies, however it dies; other systems can't be asked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


_IN_CHILD: Final = partial(die_with_parent, signal.SIGTERM)


def _inherited() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - handed on to the child as it is
