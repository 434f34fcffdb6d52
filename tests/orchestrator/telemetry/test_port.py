import socket

import pytest
from prometheus_client import CollectorRegistry

from orchestrator.settings import Settings, SettingsError
from orchestrator.telemetry.port import open_port


def test_a_port_that_is_taken_stops_the_start_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings.from_mapping({"METRICS_PORT": str(port)})
        told = rf"^METRICS_HOST, METRICS_PORT: .* got 127\.0\.0\.1 and {port} .*; set another"
        with pytest.raises(SettingsError, match=told):
            open_port(settings, CollectorRegistry())


def test_so_does_an_address_of_another_machine() -> None:
    settings = Settings.from_mapping({"METRICS_PORT": "9100", "METRICS_HOST": "192.0.2.1"})
    with pytest.raises(SettingsError, match=r"got 192\.0\.2\.1 and 9100 .*; set another"):
        open_port(settings, CollectorRegistry())
