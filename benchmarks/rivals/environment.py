"""Make an environment for each rival out of its pinned requirements, beside this one and never in it."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from benchmarks.effort import say
from benchmarks.machine import REQUIREMENTS


class RivalError(Exception):
    """A rival that can't be installed, doesn't serve, or answers something else."""


def interpreter(name: str) -> Path:
    """Return the Python of a rival's environment; make it first, or anew if its requirements have changed.

    Raises:
        RivalError: It can't be installed.
    """
    requirements = REQUIREMENTS / f"rivals-{name}.txt"
    folder = Path(sys.prefix) / "rivals" / name
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    digest = sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        say(f"installing {requirements.name}")
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--python", str(python), "--require-hashes", str(requirements))
        stamp.write_text(digest)
    return python


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RivalError(f"can't be installed: {done.stderr.strip()}")
