"""Know the keys that are configured now: those of the settings, and those of a file that may change."""

import logging
import os
import time
from pathlib import Path
from typing import Final

from orchestrator.access.keys import Entry, find, read_entries
from orchestrator.settings import Settings, SettingsError

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_Version = tuple[int, int, int]


class Keyring:
    """Find the entry of a key.

    The file is looked at about once a second and read again when it is another, so that keys come and go without a
    restart. A file that can't be read or has a mistake changes nothing; the log says so once.

    Args:
        entries: Those of the settings.
        file: Further ones, one a line.

    Raises:
        SettingsError: The file can't be used.
    """

    def __init__(self, entries: tuple[Entry, ...], file: Path | None = None) -> None:
        self._fixed = entries
        self._file = file
        self._version = _version(file) if file else None
        self._entries = _joined(entries, _read(file)) if file else entries
        self._reason = ""  # why the file could not be read when it was last tried
        self._looked = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Tell whether no key would be found."""
        return not self._entries

    def find(self, key: str) -> Entry | None:
        """Return the entry of a key, or None if there is none."""
        if self._file is not None and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look(self._file)
        return find(self._entries, key)

    def _look(self, file: Path) -> None:
        self._looked = time.monotonic()
        version = _version(file)
        if version == self._version:
            return
        try:
            self._entries = _joined(self._fixed, _read(file))
        except SettingsError as err:
            if str(err) != self._reason:  # it is tried again and again
                _log.error("keys not read again", extra={"reason": str(err)})
            self._reason = str(err)
        else:
            self._version, self._reason = version, ""
            _log.info("keys read again", extra={"keys": len(self._entries)})


def open_keyring(settings: Settings) -> Keyring:
    """Return the keys that the settings name.

    Raises:
        SettingsError: They can't be read.
    """
    try:
        entries = read_entries(settings.api_keys or "")
    except ValueError as err:
        raise SettingsError(f"API_KEYS: expected {err}; correct it or unset it") from err
    return Keyring(entries, settings.api_keys_file)


def _joined(fixed: tuple[Entry, ...], read: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries of the settings and of the file.

    Raises:
        SettingsError: A key is in both; its two entries might say different things.
    """
    if {entry.digest for entry in fixed} & {entry.digest for entry in read}:
        raise SettingsError(
            "API_KEYS_FILE: expected keys that are not in API_KEYS, got one of those; delete one of its two entries"
        )
    return fixed + read


def _version(file: Path) -> _Version | None:
    """Return what changes when a file is written or put in the place of another; None without one."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a link is to be followed, and pathlib is slower
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(file: Path) -> tuple[Entry, ...]:
    try:
        return read_entries(file.read_text("utf-8"))
    except OSError as err:
        raise SettingsError(
            f"API_KEYS_FILE: expected a file that can be read, got none ({err.strerror}); correct it or unset it"
        ) from err
    except UnicodeDecodeError as err:
        raise SettingsError("API_KEYS_FILE: expected text, got something else") from err
    except ValueError as err:
        raise SettingsError(f"API_KEYS_FILE: expected {err}; correct the file") from err
