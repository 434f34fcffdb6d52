import os
import time
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from orchestrator.errors import ModelTimeoutError, StoreUnavailableError
from orchestrator.telemetry.definitions import MODEL_CALLS_IN_FLIGHT, TASK_WAIT
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.recorder import Sample
from orchestrator.telemetry.relay import Relay
from orchestrator.telemetry.telemetry import Telemetry
from tests.support.waiting import eventually


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def telemetry(registry: CollectorRegistry) -> Telemetry:
    return Telemetry(Metrics(registry))


def test_each_stage_ends_where_the_next_begins(
    registry: CollectorRegistry, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([10.0, 10.5, 10.5, 12.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(moments))
    with telemetry.analysis("sync") as stages:
        stages.begin("decoding")
        stages.begin("storing")
    for stage, seconds in (("decoding", 0.5), ("storing", 2.0)):
        labels = {"mode": "sync", "stage": stage}
        assert registry.get_sample_value("cxr_stage_duration_seconds_sum", labels) == seconds


def test_an_error_is_that_of_the_stage_it_came_from(
    registry: CollectorRegistry, telemetry: Telemetry
) -> None:
    def fail_in_storing() -> None:
        with telemetry.analysis("task") as stages:
            stages.begin("rendering")
            stages.begin("storing")
            raise StoreUnavailableError("away")

    with pytest.raises(StoreUnavailableError):
        fail_in_storing()
    labels = {"mode": "task", "stage": "storing", "code": "store_unavailable"}
    assert registry.get_sample_value("cxr_stage_errors_total", labels) == 1
    counted = "cxr_stage_duration_seconds_count"
    assert registry.get_sample_value(counted, {"mode": "task", "stage": "rendering"}) == 1
    assert registry.get_sample_value(counted, {"mode": "task", "stage": "storing"}) is None


def test_a_call_that_fails_counts_by_code_and_is_no_longer_in_flight(
    registry: CollectorRegistry, telemetry: Telemetry
) -> None:
    def come_late() -> None:
        with telemetry.model_call("gradcam"):
            assert registry.get_sample_value("cxr_model_calls_in_flight") == 1
            raise ModelTimeoutError("late")

    with pytest.raises(ModelTimeoutError):
        come_late()
    assert registry.get_sample_value("cxr_model_calls_in_flight") == 0
    labels = {"signature": "gradcam", "code": "model_timeout"}
    assert registry.get_sample_value("cxr_model_call_errors_total", labels) == 1


def test_of_the_model_only_what_is_served_now_is_told(
    registry: CollectorRegistry, telemetry: Telemetry
) -> None:
    telemetry.model_served("densenet", 1, "a", "")
    telemetry.model_served("densenet", 2, "b", "youden")
    first = {"name": "densenet", "version": "1", "card_digest": "a", "thresholds": "card"}
    second = {"name": "densenet", "version": "2", "card_digest": "b", "thresholds": "youden"}
    assert registry.get_sample_value("cxr_model_info", first) is None
    assert registry.get_sample_value("cxr_model_info", second) == 1


def test_a_child_that_was_killed_has_told_what_it_measured(registry: CollectorRegistry) -> None:
    relay = Relay(Metrics(registry))
    child = os.fork()
    if child == 0:
        relay.record([Sample(TASK_WAIT, 1.5), Sample(MODEL_CALLS_IN_FLIGHT, 1)])
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    relay.receive()
    relay.close()
    assert registry.get_sample_value("cxr_task_wait_seconds_sum") == 1.5
    assert registry.get_sample_value("cxr_model_calls_in_flight") == 0


def test_a_sample_that_can_not_be_kept_costs_itself_alone(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("orchestrator.telemetry.relay._PAUSE_SECONDS", 0)
    metrics = Metrics(registry)
    failures = [MemoryError()]

    class Failing:
        def record(self, samples: Sequence[Sample]) -> None:
            if failures:
                raise failures.pop()
            metrics.record(samples)

    relay = Relay(Failing())
    relay.start()
    for seconds in (1.5, 2.0):
        relay.record([Sample(TASK_WAIT, seconds)])
    eventually(lambda: registry.get_sample_value("cxr_task_wait_seconds_sum") == 2.0)
    assert caplog.messages == ["samples lost"]


def test_nobody_waits_for_figures_that_nobody_takes(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    relay = Relay(Metrics(registry))
    begin = time.monotonic()
    while not caplog.messages:  # until the socket is full
        relay.record([Sample(TASK_WAIT, 1.0)])
        assert time.monotonic() - begin < 30
    assert set(caplog.messages) == {"samples lost"}
    relay.close()
