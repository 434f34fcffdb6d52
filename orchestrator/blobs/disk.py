"""Keep blobs in a folder that API and workers share."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from orchestrator.blobs.base import Held
from orchestrator.errors import BlobsUnavailableError
from orchestrator.folders import remove_each, sync, write_whole

_RETRY_AFTER: Final = 5
_UNACCEPTED_SECONDS: Final = 600
_ASKED_AT_ONCE: Final = 500


class DiskBlobs:
    """Keep each blob as a file, written aside and renamed; its time of change says when it may be swept."""

    in_redis: Final = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes, ttl: int) -> None:
        """See `Blobs.put`."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._folder / name, content, ahead=ttl)
            sync(self._folder)
        except OSError as err:
            raise _unavailable() from err

    def get(self, name: str) -> bytes | None:
        """See `Blobs.get`."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            raise _unavailable() from err

    def delete(self, name: str) -> None:
        """See `Blobs.delete`."""
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as err:
            raise _unavailable() from err

    def sweep(self, held: Held) -> None:
        """See `Blobs.sweep`; an upload lies here a moment before its task is accepted."""
        long_ago = time.time() - _UNACCEPTED_SECONDS
        old: dict[str, float] = {}
        for path in self._folder.glob("*"):
            with suppress(OSError):  # another process sweeps too
                status = path.stat()
                if not stat.S_ISREG(status.st_mode):
                    continue
                if path.name.startswith("."):  # unfinished
                    if status.st_mtime < long_ago:
                        path.unlink()
                elif status.st_mtime < time.time() or status.st_ctime < long_ago:
                    old[path.name] = status.st_mtime
        ended: list[Path] = []
        for names in _slices(list(old)):
            kept = held(names)
            ended += [self._folder / name for name in names if name not in kept]
            for name in names:
                if name in kept and kept[name] > old[name] + 1:
                    self._keep(name, kept[name])
        try:
            remove_each(ended)
        except OSError as err:
            raise _unavailable() from err

    def _keep(self, name: str, until: float) -> None:
        """Keep a blob longer than it was put for."""
        with suppress(FileNotFoundError):  # it is forgotten by now
            os.utime(self._folder / name, (until, until))


def _slices(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _ASKED_AT_ONCE):
        yield names[start : start + _ASKED_AT_ONCE]


def _unavailable() -> BlobsUnavailableError:
    return BlobsUnavailableError(
        "the folder for uploads and results can't be used now; try again shortly",
        retry_after=_RETRY_AFTER,
    )
