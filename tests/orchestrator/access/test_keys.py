import hashlib

import pytest

from orchestrator.access.keys import Entry, find, make_key, read_entries

KEY = "cxr_example"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
OTHER = "0" * 64


def test_a_new_key_has_256_random_bits_and_an_entry_that_is_read_again() -> None:
    key, entry = make_key("ward7", ["read", "predict"])
    assert key.startswith("cxr_")
    assert len(key) == len("cxr_") + 43  # 32 bytes as base64 without padding
    assert key != make_key("ward7", ["read"])[0]
    assert entry.dumps() == f"ward7:predict+read:{hashlib.sha256(key.encode()).hexdigest()}"
    assert read_entries(entry.dumps()) == (entry,)
    assert key not in entry.dumps()


def test_entries_are_separated_by_commas_white_space_and_lines_with_comments() -> None:
    text = (
        f"a:predict:{DIGEST}, b:admin:{OTHER}\n# c:read:none, really\n\td:read:{'1' * 64} # a note"
    )
    assert [(entry.name, sorted(entry.scopes)) for entry in read_entries(text)] == [
        ("a", ["predict"]),
        ("b", ["admin"]),
        ("d", ["read"]),
    ]
    assert read_entries("") == ()


@pytest.mark.parametrize(
    "entry",
    [
        KEY,
        f"a:{DIGEST}",
        f"a::{DIGEST}",
        f"a:write:{DIGEST}",
        f"a:read+read:{DIGEST}",
        f"a:read:{DIGEST[:-1]}",
        f"a:read:{DIGEST.upper()}",
        f":read:{DIGEST}",
        f"a/b:read:{DIGEST}",
        f"{'a' * 65}:read:{DIGEST}",
    ],
)
def test_what_is_no_entry_is_refused_without_being_repeated(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^(entries NAME:SCOPES:SHA256|a name of)") as caught:
        read_entries(f"good:read:{OTHER},{entry}")
    assert KEY not in str(caught.value)
    assert DIGEST[:8] not in str(caught.value)


def test_a_name_may_have_two_keys_but_a_key_only_one_entry() -> None:
    assert len(read_entries(f"a:read:{DIGEST} a:read:{OTHER}")) == 2
    with pytest.raises(ValueError, match="every key once"):
        read_entries(f"a:read:{DIGEST} b:predict:{DIGEST}")


def test_a_key_finds_its_own_entry() -> None:
    entries = (
        Entry("a", frozenset({"read"}), OTHER),
        Entry("b", frozenset({"admin"}), DIGEST),
    )
    assert find(entries, KEY) == entries[1]
    for other in ("", "cxr_exampl", "cxr_example ", DIGEST, "Ä\udcff"):
        assert find(entries, other) is None
