import socket

import pytest
from prometheus_client import CollectorRegistry

from orchestrator.settings import Settings, SettingsError
from orchestrator.telemetry.port import open_port


def test_a_port_that_is_taken_stops_the_start_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings.from_mapping({"METRICS_PORT": str(port)})
        with pytest.raises(SettingsError, match=rf"^METRICS_PORT: .* got {port} .*; set it"):
            open_port(settings, CollectorRegistry())
