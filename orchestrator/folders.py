"""Keep what was written to a folder through a loss of power."""

import os
from pathlib import Path


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
