import pytest

from orchestrator.access.keys import make_key
from orchestrator.access.mode import choose_access, is_loopback
from orchestrator.settings import Settings, SettingsError

KEY, ENTRY = make_key("ward7", ["read"])
SOME = {"API_KEYS": ENTRY.dumps()}
ANYWHERE = {"HOST": "0.0.0.0"}


@pytest.mark.parametrize(
    ("environment", "needs_keys"),
    [
        ({}, False),
        (SOME, True),
        ({**SOME, **ANYWHERE}, True),
        ({"ACCESS": "keys", **SOME}, True),
        ({"ACCESS": "open"}, False),
        ({"ACCESS": "open", **ANYWHERE}, False),
    ],
)
def test_keys_are_needed_if_there_are_any(environment: dict[str, str], needs_keys: bool) -> None:
    keyring = choose_access(Settings.from_mapping(environment))
    assert (keyring is not None) is needs_keys
    assert keyring is None or keyring.find(KEY) == ENTRY


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (ANYWHERE, "^API_KEYS: .*HOST is not loopback.*API_KEYS_FILE.*ACCESS=open"),
        ({"ACCESS": "keys"}, "^API_KEYS: expected a key.*API_KEYS_FILE"),
        ({"ACCESS": "keys", **ANYWHERE}, "^API_KEYS: expected a key"),
        ({"ACCESS": "open", **SOME}, "^ACCESS: expected keys.*API_KEYS"),
        ({"ACCESS": "keys", "API_KEYS": "# none"}, "^API_KEYS: expected a key"),
    ],
)
def test_the_start_is_refused_where_it_would_surprise(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        choose_access(Settings.from_mapping(environment))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_what_is_no_loopback_is_none(host: str) -> None:
    assert not is_loopback(host)
