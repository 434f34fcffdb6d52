"""Put a servable where TensorFlow Serving polls, whole or not at all."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export.errors import ExportError

_STALE = 86_400.0  # seconds after which what a killed exporter left is nobody's
_ASIDE = ".export-"  # TF Serving ignores children of a model's folder whose name is not an integer


@contextmanager
def aside(output: Path) -> Iterator[Path]:
    """Give a directory beside the versions of a model to write into, and remove what is left of it.

    Args:
        output: The model's folder, ``models/densenet``; made if missing.

    Yields:
        An empty directory on the same file system that no server takes for a version.

    Raises:
        ExportError: The model's folder is none, or can't be written to.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        for left in output.glob(f"{_ASIDE}*"):
            if _is_stale(left):
                shutil.rmtree(left, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=output))
    except OSError as err:
        raise ExportError(
            f"expected a folder that can be written to, got {output}: {err}; name another with --output"
        ) from err
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def publish(directory: Path, output: Path) -> Path:
    """Rename a finished directory to the next version of a model.

    A rename onto a directory that is not empty fails, so of two exporters that finish together each gets a version
    of its own.

    Args:
        directory: From :func:`aside`, complete.
        output: The model's folder.

    Returns:
        The version's directory.
    """
    _make_durable(directory)
    version = 1 + max(versions(output), default=0)
    while True:
        target = output / str(version)
        try:
            directory.rename(target)
        except OSError:
            if not target.exists():
                raise
            version += 1
        else:
            _sync(output)
            return target


def versions(output: Path) -> list[int]:
    """List the versions in a model's folder, lowest first."""
    if not output.is_dir():
        return []
    return sorted(int(child.name) for child in output.iterdir() if child.name.isdecimal())


def _is_stale(left: Path) -> bool:
    try:
        return time.time() - left.stat().st_mtime > _STALE
    except FileNotFoundError:  # another exporter has just finished with it
        return False


def _make_durable(directory: Path) -> None:
    """Flush files to disk, and let every user read them: a server runs as another one."""
    for path in sorted(directory.rglob("*"), reverse=True):
        path.chmod(0o755 if path.is_dir() else 0o644)
        _sync(path)
    directory.chmod(0o755)
    _sync(directory)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
