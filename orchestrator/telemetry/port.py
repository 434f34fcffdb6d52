"""Answer Prometheus on a port of the process's own, which needs no key and is not published."""

from prometheus_client import CollectorRegistry, start_http_server

from orchestrator.listening import address_explained
from orchestrator.settings import Settings


def open_port(settings: Settings, registry: CollectorRegistry) -> None:
    """Answer ``/metrics`` until the process ends; nothing if no port is set.

    Raises:
        SettingsError: The port can't be used.
    """
    if settings.metrics_port is None:
        return
    host, port = settings.metrics_host, settings.metrics_port
    with address_explained("METRICS_", host, port):
        start_http_server(port, host, registry)
