"""Which processes ``cxr up`` starts; tests/test_up.py starts them."""

from pathlib import Path

import pytest

from orchestrator import up
from orchestrator.settings import Settings


@pytest.mark.parametrize(
    ("url", "embedded"),
    [
        (None, True),
        ("", True),
        ("redis://127.0.0.1:6379/0", False),  # the default, said
        ("redis://127.0.0.1:7000/0", False),
    ],
)
def test_a_redis_that_is_named_is_used(
    url: str | None, embedded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    children = up._children(Settings.from_environment(), 5000, tmp_path)
    assert ("redis" in [child.name for child in children]) is embedded
    (api,) = [child for child in children if child.name == "api"]
    assert ("REDIS_URL" in api.environment) is embedded
