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
            f"METRICS_HOST, METRICS_PORT: expected an address of this machine and a port of it that is free, one for"
            f" each process, got {settings.metrics_host} and {settings.metrics_port} ({err.strerror}); correct them"
        ) from err
