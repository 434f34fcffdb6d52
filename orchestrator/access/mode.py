"""Decide whether callers need a key."""

import ipaddress
import logging
from typing import Final

from orchestrator.access.keyring import Keyring, open_keyring
from orchestrator.settings import Settings, SettingsError

_log = logging.getLogger(__name__)

_HOW: Final = "make one with `cxr key` and set API_KEYS or API_KEYS_FILE"


def choose_access(settings: Settings) -> Keyring | None:
    """Return the keys that open the service, or None where it is open to whoever reaches it.

    Raises:
        SettingsError: It would be open to the network without being told so, open though there are keys, or closed to
            everybody.
    """
    keyring = open_keyring(settings)
    configured = bool(settings.api_keys or settings.api_keys_file)
    if settings.access == "open":
        if configured:  # somebody believes that keys are needed
            raise SettingsError(
                "ACCESS: expected keys, as API_KEYS or API_KEYS_FILE is set, got open; set ACCESS=keys or no keys"
            )
        return None
    if settings.access is None and not configured:
        if not is_loopback(settings.host):
            raise SettingsError(
                f"API_KEYS: expected keys, as HOST is not loopback; {_HOW}, or set ACCESS=open to let in whoever"
                " reaches the port"
            )
        return None
    if keyring.is_empty:
        raise SettingsError(f"API_KEYS: expected a key, as access needs keys, got none; {_HOW}")
    return keyring


def warn_if_open(keyring: Keyring | None) -> None:
    """Say once in the log that nobody needs a key."""
    if keyring is None:
        _log.warning("access is open: no request needs a key", extra={"setting": "ACCESS"})


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
