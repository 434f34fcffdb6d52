"""Which processes ``cxr up`` starts; tests/test_up.py starts them."""

import socket
from pathlib import Path

import pytest

from orchestrator import up
from orchestrator.settings import Settings, SettingsError
from tests.support.ports import free_port


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


@pytest.mark.parametrize("name", ["PORT", "DASHBOARD_PORT"])
def test_ports_of_figures_that_meet_another_are_refused_naming_it(name: str) -> None:
    counted = {"METRICS_PORT": "9100", "WORKERS": "2"}
    for port in (9100, 9102):
        with pytest.raises(SettingsError, match=f"^METRICS_PORT: .* {name}={port} .* 3 ports"):
            up._check_metrics_ports(Settings.from_mapping({**counted, name: str(port)}))
    for port in (9099, 9103):
        up._check_metrics_ports(Settings.from_mapping({**counted, name: str(port)}))


def test_a_dashboard_on_the_apis_port_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    settings = Settings.from_mapping({"DATA_DIR": str(tmp_path), "DASHBOARD_PORT": str(port)})
    named = [[child.name for child in up._children(settings, api, tmp_path)] for api in (port, 1)]
    assert ["dashboard" in names for names in named] == [False, True]
    assert f"No dashboard: PORT and DASHBOARD_PORT are both {port}; " in capsys.readouterr().out


def test_so_is_one_whose_port_is_taken_or_whose_address_is_not_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for setting in ({"DASHBOARD_PORT": port}, {"DASHBOARD_HOST": "192.0.2.1"}):
            given = {"DATA_DIR": str(tmp_path), "DASHBOARD_PASSWORD": "secret", **setting}
            children = up._children(Settings.from_mapping(given), 1, tmp_path)
            assert "dashboard" not in [child.name for child in children]
            told = capsys.readouterr().out
            assert "No dashboard: DASHBOARD_HOST, DASHBOARD_PORT: expected an address" in told
