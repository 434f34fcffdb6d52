import dataclasses
import re
import traceback
from pathlib import Path

import pytest

from orchestrator.settings import Settings, SettingsError

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_mapping({"PORT": "", "UNRELATED": "1"})
    assert (settings.port, settings.data_dir) == (5000, Path(".data"))


def test_values_are_read_by_their_own_types() -> None:
    settings = Settings.from_mapping(
        {"PORT": "5001", "DATA_DIR": "/srv/cxr", "MODEL_TIMEOUT": "2.5", "MODEL_PATH": "a.keras"}
    )
    assert settings.port == 5001
    assert settings.data_dir == Path("/srv/cxr")
    assert settings.model_timeout == 2.5
    assert settings.model_path == Path("a.keras")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("MODEL_TIMEOUT", "soon"),
        ("MODEL_TIMEOUT", "nan"),
        ("MODEL_SERVER", "localhost"),
        ("MODEL_SERVER", "localhost:0"),
        ("MODEL_SERVER", "http://localhost:8500"),
        ("CALLBACK_HOSTS", "https://a.example"),
        ("CALLBACK_HOSTS", "a.example/done"),
        ("CALLBACK_HOSTS", "*.example"),
        ("CALLBACK_HOSTS", "a.example b.example"),
        ("LOG_LEVEL", "loud"),
        ("MODEL_PREPROCESS", "imagenet"),
        ("MAX_PIXELS", "89478486"),
    ],
)
def test_a_bad_value_is_refused_naming_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: expected .*, got '{re.escape(value)}'"):
        Settings.from_mapping({name: value})


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(
        SettingsError, match=r"^REDIS_URL: expected .*, got something else"
    ) as caught:
        Settings.from_mapping({"REDIS_URL": "http://:hunter2@redis"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/9aQ==@redis:6379/0",
        "redis://:hunter2#9aQ@redis:6379/0",
        "redis://:hunter2?9aQ@redis:6379/0",
        "redis://:2/hunter2@redis:6379/0",
        "redis://:2#hunter2@redis:6379/0",
        "redis://user:2?hunter2@redis:6379/0",
        "redis://user:2?hunter2=@redis:6379/0",
        "redis://:9aQ@hunter2@redis:6379/0",
        "redis://:[hunter2@redis:6379/0",
        "redis://:\N{ACCOUNT OF}hunter2@redis:6379/0",
        "redis://redis:hunter2",
        "redis://redis:65536/0",
        "redis://redis:6379/hunter2",
        "redis://redis:6379/?db=hunter2",
        "redis://redis:6379/0?protocol=9",
        "redis://redis:6379/0?hunter2=1",
        "redis://redis:6379/0?cache_config=hunter2",
        "rediss://redis:6379/0?ssl_cert_reqs=hunter2",
        "redis://redis:6379/0?password=hunter2",
        "redis://redis:6379/0?username=hunter2",
        "rediss://redis:6379/0?ssl_password=hunter2",
        "unix://:hunter2@/run/redis.sock",
        "redis:hunter2",
    ],
)
def test_an_address_of_redis_that_can_not_be_used_is_refused_and_nothing_of_it_told(
    url: str,
) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: expected .* percent-encoded") as caught:
        Settings.from_mapping({"REDIS_URL": url})
    told = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in told
    assert "9aQ" not in told


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis",
        "redis://redis:6379",
        "redis://[::1]:6379/",
        "redis://:9aQ%2F%23%3F%25%40==@redis:6379/15",
        "redis://cxr:0123456789abcdef@redis:6379/0",
        "rediss://redis:6379/0?ssl_ca_certs=/etc/ssl/ours.pem&health_check_interval=3",
        "redis://redis:6379?db=1",
    ],
)
def test_an_address_of_redis_is_taken_as_it_is(url: str) -> None:
    assert Settings.from_mapping({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT", "600"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT_READ", "ten/minute"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://a.example/"),
        ("CORS_ORIGINS", "https://a.example,b.example"),
        ("ACCESS", "closed"),
        ("AUDIT_RETENTION_DAYS", "-1"),
    ],
)
def test_settings_of_access_are_read_strictly(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: expected "):
        Settings.from_mapping({name: value})


def test_every_setting_is_documented_with_its_default() -> None:
    text = DOCS.read_text()
    for field in dataclasses.fields(Settings):
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        assert f"| `{field.name.upper()}` | {default} | {field.metadata['help']} |" in text
