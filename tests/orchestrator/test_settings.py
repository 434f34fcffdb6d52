import dataclasses
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
        ("LOG_LEVEL", "loud"),
        ("MODEL_PREPROCESS", "imagenet"),
        ("MAX_PIXELS", "89478486"),
    ],
)
def test_a_bad_value_is_refused_naming_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: expected .*, got '{value}'"):
        Settings.from_mapping({name: value})


def test_a_bad_secret_is_not_repeated() -> None:
    with pytest.raises(
        SettingsError, match=r"^REDIS_URL: expected .*, got something else"
    ) as caught:
        Settings.from_mapping({"REDIS_URL": "http://:hunter2@redis"})
    assert "hunter2" not in str(caught.value)


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
        default = "" if field.default is None else f"`{field.default}`"
        assert f"| `{field.name.upper()}` | {default} | {field.metadata['help']} |" in text
