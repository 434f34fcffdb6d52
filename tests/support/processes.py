"""Look at processes that are nobody's children any more."""

import psutil


def lives(process: psutil.Process) -> bool:
    """Tell whether a process still holds its files, which all of its threads share."""
    try:
        dead = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return process.is_running() and not dead
    except psutil.NoSuchProcess:
        return False
