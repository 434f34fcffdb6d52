import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import click
import grpc
import pytest

from orchestrator.errors import NotAnImageError, StoreUnavailableError
from orchestrator.model import wire_pb2 as wire
from orchestrator.model.channel import ModelChannel
from orchestrator.settings import Settings
from orchestrator.startup import read_settings
from orchestrator.telemetry import trace
from orchestrator.telemetry.tracing import open_tracer
from tests.support.otlp_collector import running_collector

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_where_tracing_is_off_neither_exporter_nor_our_use_of_it_is_loaded() -> None:
    script = (
        "import sys; from orchestrator.app import create_app; from orchestrator import worker;"
        "from orchestrator.settings import Settings; create_app(Settings.from_mapping({}));"
        "print([name for name in sys.modules if name.startswith('opentelemetry.exporter')"
        " or name == 'orchestrator.telemetry.otel'])"
    )
    run = [sys.executable, "-c", script]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_where_tracing_is_off_no_span_is_made() -> None:
    tracer = open_tracer(Settings.from_mapping({}), "part")
    with tracer.span("a") as one, tracer.span("b", parent=PARENT) as other:
        assert one is other
        assert trace.traceparent() == ""


def test_a_collector_without_opentelemetry_installed_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(click.ClickException, match=r"OTEL_EXPORTER_OTLP_ENDPOINT.*extra 'tracing'"):
        read_settings()


def test_errors_of_the_service_mark_a_span_and_their_texts_stay_here() -> None:
    with running_collector() as collector:
        settings = Settings.from_mapping({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        tracer = open_tracer(settings, "part")
        for error in (StoreUnavailableError("secret"), NotAnImageError("secret"), ValueError()):
            with pytest.raises(type(error)), tracer.span(type(error).__name__, parent=PARENT):
                raise error
        tracer.close()
        found = {span.name: (span.failed, span.attributes) for span in collector.spans}
    assert found == {
        "StoreUnavailableError": (True, {"error.type": "store_unavailable"}),
        "NotAnImageError": (False, {}),
        "ValueError": (True, {"error.type": "internal_error"}),
    }
    assert b"secret" not in b"".join(collector.bodies)


def test_a_header_that_is_none_begins_a_trace_of_its_own() -> None:
    with running_collector() as collector:
        settings = Settings.from_mapping({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        tracer = open_tracer(settings, "part")
        with tracer.span("root", parent="Meier-Gertrud"):
            pass
        tracer.close()
    (root,) = collector.spans
    assert root.parent_id == ""


def test_where_the_sdk_is_switched_off_by_its_own_variable_no_span_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with running_collector() as collector:
        settings = Settings.from_mapping({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        tracer = open_tracer(settings, "part")
        with tracer.span("root"):
            assert trace.traceparent() == ""
        with tracer.span("passed on", parent=PARENT):
            assert trace.traceparent() == PARENT
        tracer.close()
    assert collector.spans == []


def test_a_collector_that_is_away_costs_nothing_but_its_spans(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings.from_mapping({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    tracer = open_tracer(settings, "part")
    with caplog.at_level(logging.CRITICAL), tracer.span("a"):
        pass
    begin = time.monotonic()
    tracer.close()
    assert time.monotonic() - begin < 6  # and not for as long as the exporter tries


@contextmanager
def metadata_server() -> Iterator[tuple[str, list[str]]]:
    """Run a gRPC server that answers Predict with nothing and keeps what it is told of the trace."""
    seen: list[str] = []

    def predict(_: wire.PredictRequest, context: grpc.ServicerContext) -> wire.PredictResponse:
        told = {str(key): str(value) for key, value in context.invocation_metadata()}
        seen.append(told.get("traceparent", ""))
        return wire.PredictResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        request_deserializer=wire.PredictRequest.FromString,
        response_serializer=wire.PredictResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "tensorflow.serving.PredictionService", {"Predict": handler}
            )
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", seen
    finally:
        server.stop(None).wait()


def test_a_call_to_the_model_server_carries_the_span_in_force() -> None:
    with metadata_server() as (target, seen):
        channel = ModelChannel(target, deadline=5)
        channel.predict(wire.PredictRequest(), timeout=5)
        with trace.in_force(PARENT):
            channel.predict(wire.PredictRequest(), timeout=5)
        channel.close()
    assert seen == ["", PARENT]
