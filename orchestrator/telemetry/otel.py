"""Own OpenTelemetry: make spans and send them to a collector; imported only where tracing is on.

The SDK's own variables (``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER``, ``OTEL_BSP_…``) hold as well.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orchestrator.errors import RequestError, ServiceError
from orchestrator.telemetry import trace
from orchestrator.telemetry.trace import Attributes, Kind

_KINDS: Final = {
    "server": api.SpanKind.SERVER,
    "internal": api.SpanKind.INTERNAL,
    "client": api.SpanKind.CLIENT,
    "producer": api.SpanKind.PRODUCER,
    "consumer": api.SpanKind.CONSUMER,
}
_HEADER: Final = "traceparent"
_LAST_SECONDS: Final = 3.0
_W3C: Final = TraceContextTextMapPropagator()


class OtelSpan:
    """A span of OpenTelemetry."""

    def __init__(self, span: api.Span) -> None:
        self._span = span

    def name(self, name: str) -> None:
        """Give it another name."""
        self._span.update_name(name)

    def add(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def fail(self, code: str) -> None:
        """Mark it as failed."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(api.StatusCode.ERROR)


class OtelTracer:
    """Make spans and send them in batches; a process that forks must make it after the fork.

    Args:
        endpoint: Address of a collector that takes OTLP over HTTP.
        part: Which part of the service this process is.
    """

    def __init__(self, endpoint: str, part: str) -> None:
        resource = Resource.create(
            {"service.name": part, "service.version": version("cxr-service")}
        )
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("cxr-service")

    @contextmanager
    def span(
        self, name: str, kind: Kind = "internal", parent: str | None = None
    ) -> Iterator[trace.Span]:
        """Open a span and put it in force."""
        header = trace.traceparent() if parent is None else parent
        context = _W3C.extract({_HEADER: header} if header else {}, Context())
        # Texts of exceptions may hold what a caller wrote: the stable code alone is told.
        span = self._tracer.start_span(
            name, context, _KINDS[kind], record_exception=False, set_status_on_exception=False
        )
        opened = OtelSpan(span)
        try:
            with trace.in_force(_header(span)):
                yield opened
        except ServiceError as err:
            if not isinstance(err, RequestError):
                opened.fail(err.code)
            raise
        except Exception:
            opened.fail(ServiceError.code)
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what was not sent yet, for some seconds at most: a collector that is away holds up no process."""
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(_LAST_SECONDS)


def _header(span: api.Span) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, api.set_span_in_context(span, Context()))
    return carrier.get(_HEADER, "")  # none of a span that OTEL_SDK_DISABLED made
