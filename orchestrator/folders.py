"""Write files that are whole, and outlast a loss of power."""

import os
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int = 0o666, ahead: float = 0.0) -> None:
    """Write a file aside and to the disk, and rename it into place, so that nobody reads half of it.

    A process that is killed meanwhile leaves a draft beside it, whose name begins with a dot and holds the file's.

    Args:
        path: The file, in a folder that is there.
        content: What is in it.
        mode: Who may read and write it, less what the umask takes.
        ahead: Seconds that its time of change lies ahead.

    Raises:
        OSError: It can't be done; a file that was there before is left as it was.
    """
    draft = path.with_name(f".draft-{path.name}-{uuid.uuid4().hex}")
    try:
        with open(draft, "xb", opener=partial(os.open, mode=mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        changed = time.time() + ahead
        os.utime(draft, (changed, changed))
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def remove_each(paths: Iterable[Path]) -> None:
    """Remove files, or what is left of them, though some can't be.

    Raises:
        OSError: Those can't, of which this is the last.
    """
    last: OSError | None = None
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as err:
            last = err
    if last is not None:
        raise last


def sync(folder: Path) -> None:
    """Bring a folder's names to the disk (fsync(2)): without its name a file is lost with the power.

    Raises:
        OSError: It can't be done.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
