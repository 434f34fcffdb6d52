import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.access.keyring import Keyring, open_keyring
from orchestrator.access.keys import make_key
from orchestrator.settings import Settings, SettingsError
from tests.support.waiting import eventually


def test_keys_come_and_go_with_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "orchestrator")
    fixed, entry = make_key("fixed", ["read"])
    old, old_entry = make_key("ward7", ["predict"])
    new, new_entry = make_key("ward7", ["predict"])
    file = tmp_path / "keys"
    file.write_text(f"{old_entry.dumps()}  # since spring\n")
    keyring = Keyring((entry,), file)
    assert keyring.find(fixed) == entry
    assert keyring.find(old) == old_entry
    assert keyring.find(new) is None

    file.write_text(f"{old_entry.dumps()}\n{new_entry.dumps()}\n")
    eventually(lambda: keyring.find(new) == new_entry)
    assert keyring.find(old) == old_entry

    (tmp_path / "next").write_text(new_entry.dumps())  # put in place, as Kubernetes and editors do
    (tmp_path / "next").replace(file)
    eventually(lambda: keyring.find(old) is None)
    assert keyring.find(new) == new_entry
    assert keyring.find(fixed) == entry
    assert new not in caplog.text + str([vars(record) for record in caplog.records])


def test_a_mistake_in_the_file_changes_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, entry = make_key("ward7", ["predict"])
    file = tmp_path / "keys"
    file.write_text(entry.dumps())
    keyring = Keyring((), file)
    file.write_text(key)  # the key itself, by mistake
    eventually(lambda: keyring.find(key) is not None and "keys not read again" in caplog.text)
    os.utime(file)
    assert keyring.find(key) == entry
    assert key not in str([vars(record) for record in caplog.records])


def test_a_file_that_could_not_be_read_for_a_while_is_read_though_nothing_wrote_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old, old_entry), (new, new_entry) = (make_key("ward7", ["predict"]) for _ in range(2))
    file = tmp_path / "keys"
    file.write_text(old_entry.dumps())
    keyring = Keyring((), file)

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:  # root may read everything, so it is told not to
        patch.setattr(Path, "read_text", refuse)
        file.write_text(f"{new_entry.dumps()}  # rotated\n")
        eventually(lambda: keyring.find(new) is None and "keys not read again" in caplog.text)
        time.sleep(1.2)
        assert keyring.find(old) == old_entry
    assert caplog.text.count("keys not read again") == 1

    eventually(lambda: keyring.find(new) == new_entry)
    assert keyring.find(old) is None


def test_a_key_is_in_the_settings_or_in_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, entry = make_key("ward7", ["read"])
    twice = replace(entry, scopes=frozenset({"admin"}))
    file = tmp_path / "keys"
    file.write_text(twice.dumps())
    with pytest.raises(SettingsError, match=r"^API_KEYS_FILE: expected keys that are not in API_K"):
        Keyring((entry,), file)
    file.write_text("# none yet\n")
    keyring = Keyring((entry,), file)
    file.write_text(twice.dumps())
    eventually(lambda: keyring.find(key) is not None and "keys not read again" in caplog.text)
    assert keyring.find(key) == entry


def test_the_start_is_refused_for_a_file_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^API_KEYS_FILE: .*No such file"):
        open_keyring(Settings.from_mapping({"API_KEYS_FILE": str(tmp_path / "none")}))
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"^API_KEYS_FILE: expected text"):
        open_keyring(Settings.from_mapping({"API_KEYS_FILE": str(tmp_path / "keys")}))
    with pytest.raises(SettingsError, match=r"^API_KEYS: expected entries"):
        open_keyring(Settings.from_mapping({"API_KEYS": "cxr_oops"}))
