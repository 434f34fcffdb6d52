"""Answer Prometheus on a port of the process's own, which needs no key and is not published."""

from prometheus_client import CollectorRegistry, start_http_server

from orchestrator.settings import Settings, SettingsError


def open_port(settings: Settings, registry: CollectorRegistry) -> None:
    """Answer ``/metrics`` until the process ends; nothing if no port is set.

    Raises:
        SettingsError: The port can't be used.
    """
    if settings.metrics_port is None:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host, registry)
    except OSError as err:
        raise SettingsError(
            f"METRICS_PORT: expected a port of {settings.metrics_host} that is free, got"
            f" {settings.metrics_port} ({err.strerror}); set it to another, one for each process of a machine"
        ) from err
