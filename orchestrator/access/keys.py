"""Make keys, and read the entries by which the service knows them.

An entry is ``NAME:SCOPES:SHA256``, its scopes joined by ``+``. Only the digest of a key is kept. One round of
SHA-256 is right here, where it would be wrong for passwords: a key has 256 random bits, so nobody can
guess it out of its digest, however fast the digest is; a slow one would only be spent on every request.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

Scope = Literal["predict", "read", "admin"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "cxr_"
_RANDOM_BYTES: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """A key as the service knows it.

    Attributes:
        name: Whose it is; stands in the audit trail.
        scopes: What it opens.
        digest: SHA-256 of the key, hexadecimal.
    """

    name: str
    scopes: frozenset[Scope]
    digest: str

    def dumps(self) -> str:
        """Return the entry as it is configured."""
        scopes = "+".join(scope for scope in SCOPES if scope in self.scopes)
        return f"{self.name}:{scopes}:{self.digest}"


def make_key(name: str, scopes: Iterable[Scope]) -> tuple[str, Entry]:
    """Return a new key and its entry.

    Raises:
        ValueError: The name is none that a key may have.
    """
    _check_name(name)
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return key, Entry(name, frozenset(scopes), digest_of(key))


def digest_of(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def find(entries: Sequence[Entry], key: str) -> Entry | None:
    """Return the entry of a key, or None; the time it takes tells nothing of the entries."""
    digest = digest_of(key)
    found = None
    for entry in entries:
        if hmac.compare_digest(entry.digest, digest):
            found = entry
    return found


def read_entries(text: str) -> tuple[Entry, ...]:
    """Read entries separated by commas or white space; ``#`` begins a comment that ends with its line.

    Raises:
        ValueError: One is none; the message repeats nothing of it, as it may be a key by mistake.
    """
    lines = (line.partition("#")[0] for line in text.splitlines())
    words = [word for line in lines for word in re.split(r"[,\s]+", line) if word]
    entries = tuple(_read(number, word) for number, word in enumerate(words, 1))
    names = [entry.name for entry in entries]
    # Two entries of one name are a key and its successor; the same key twice has two answers.
    if len({entry.digest for entry in entries}) < len(names):
        raise ValueError("every key once; one stands there twice")
    return entries


def _read(number: int, word: str) -> Entry:
    name, _, rest = word.partition(":")
    scopes, _, digest = rest.partition(":")
    found = frozenset(scope for scope in SCOPES if scope in scopes.split("+"))
    if len(found) != len(scopes.split("+")) or not _DIGEST.fullmatch(digest):
        raise ValueError(
            f"entries NAME:SCOPES:SHA256 with scopes of {', '.join(SCOPES)} joined by '+', as `cxr key` writes them;"
            f" entry {number} is none"
        )
    _check_name(name)
    return Entry(name, found, digest)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a name of 1 to 64 letters, digits, dots, dashes and underscores that begins with a letter or digit"
        )
