"""Sign links to files, and check them when they come back."""

import hmac
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from orchestrator.errors import LinkExpiredError, LinkInvalidError
from orchestrator.settings import SettingsError

PREFIX: Final = "/files/"
_SECRET_BYTES: Final = 32


class Links:
    """Make and check links that nobody else can make and that end by themselves.

    Attributes:
        secret: What signatures are made with.
        lifetime: Seconds a link works.
    """

    def __init__(
        self, secret: bytes, lifetime: float, clock: Callable[[], float] = time.time
    ) -> None:
        self.secret = secret
        self.lifetime = lifetime
        self._clock = clock

    def sign(self, key: str) -> str:
        """Return the link to a key: a path with its expiry (Unix time) and a signature of both."""
        expires = str(int(self._clock() + self.lifetime))
        query = urlencode({"expires": expires, "signature": self._signature(key, expires)})
        return f"{PREFIX}{key}?{query}"

    def check(self, key: str, expires: str, signature: str) -> None:
        """Accept what :meth:`sign` made.

        Raises:
            LinkInvalidError: It was made or changed by someone else.
            LinkExpiredError: It was good once.
        """
        expected = self._signature(key, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise LinkInvalidError(
                "expected a link as it was answered, got one that was cut or changed; ask for the"
                " result again"
            )
        if int(expires) < self._clock():
            raise LinkExpiredError(
                "the link has expired, as links to pictures do; analyse the image again"
            )

    def _signature(self, key: str, expires: str) -> str:
        return hmac.digest(self.secret, f"link:{expires}:{key}".encode(), "sha256").hex()


def shared_secret(path: Path) -> bytes:
    """Return the secret in a file, making it first if need be; processes that start together agree on one.

    Raises:
        SettingsError: The file can't be read, or is not whole, as one that a full disk has cut: what is left of it
            might be guessed.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_SECRET_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            Path(path).hardlink_to(draft)  # fails where renaming would replace: the first one wins
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    try:
        found = path.read_bytes()
    except OSError as err:
        raise _unusable(path, f"one that can't be read ({err.strerror})") from err
    if len(found) < 2 * _SECRET_BYTES:
        raise _unusable(path, f"{len(found)} bytes")
    return found


def _unusable(path: Path, got: str) -> SettingsError:
    return SettingsError(
        f"DATA_DIR: expected {path.name} in it with the {2 * _SECRET_BYTES} characters that were written there, got"
        f" {got}; restore it, or delete it: then the links that are given out end"
    )
