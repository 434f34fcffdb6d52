"""Open the tracer that the settings ask for."""

from importlib import import_module
from typing import Any, Final

from orchestrator.settings import Settings, SettingsError
from orchestrator.telemetry.trace import NO_TRACER, Tracer

_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"


def check_tracing(settings: Settings) -> None:
    """Make sure that what the settings ask for is installed.

    Raises:
        SettingsError: A collector is named, and OpenTelemetry is not installed.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        return
    try:
        import_module(_EXPORTER)
    except ModuleNotFoundError as err:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: expected OpenTelemetry to be installed, found it missing; install"
            " this project with its extra 'tracing', or unset it"
        ) from err


def open_tracer(settings: Settings, part: str) -> Tracer:
    """Return a tracer that sends to the collector of the settings, or none that does nothing.

    Args:
        settings: Name the collector, or none.
        part: Which part of the service this process is.
    """
    endpoint = settings.otel_exporter_otlp_endpoint
    if endpoint is None:
        return NO_TRACER
    # Loaded here alone: where tracing is off it costs nothing and need not be installed.
    otel: Any = import_module("orchestrator.telemetry.otel")
    tracer: Tracer = otel.OtelTracer(endpoint, part)
    return tracer
