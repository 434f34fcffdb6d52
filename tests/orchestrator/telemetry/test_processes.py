"""Figures and traces of real processes: two APIs, two workers, one Redis, one model server, one collector."""

import base64
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.support.api import wait_until_answered
from tests.support.crew import Crew, running_crew, total
from tests.support.images import gradient, png
from tests.support.otlp_collector import Collector, ReceivedSpan, running_collector
from tests.support.workers import CXR, Service

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

# What must stay out of what leaves the service: distinctive, so that a search finds it.
NAME = "Meier-Gertrud-1931"
IMAGE = png(gradient(200, 150))
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT, CONSUMER, INTERNAL = 2, 3, 5, 1  # OTLP's SpanKind


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Crew]:
    from export.servable import export_model
    from tests.support.tiny_models import PLANTED_LABELS, planted_model

    folder = tmp_path_factory.mktemp("crew")
    export_model(planted_model(), folder / "densenet", labels=PLANTED_LABELS, preprocess="rescale")
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with running_crew(folder / "stack", folder / "densenet", **settings) as running:
        yield running


def eventually(value: Callable[[], float], expected: float, seconds: float = 20) -> None:
    """Wait for figures that a worker writes a moment after the task is seen to be done."""
    until = time.monotonic() + seconds
    while (found := value()) != expected:
        assert time.monotonic() < until, f"expected {expected}, got {found}"
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no SCHED_BATCH")
def test_no_process_interrupts_another_when_it_wakes_up(crew: Crew) -> None:
    services = [*(each.service for each in [*crew.apis, *crew.workers]), crew.stack.model]
    processes = [service.running.pid for service in services]
    processes += [horse.pid for service in services for horse in service.horses()]
    assert {os.sched_getscheduler(process) for process in processes} == {os.SCHED_BATCH}


def test_what_nobody_waits_for_gives_way_but_leases_do_not(crew: Crew) -> None:
    services = [*(each.service for each in [*crew.apis, *crew.workers]), crew.stack.model]
    usual = os.nice(0)
    assert {psutil.Process(service.running.pid).nice() for service in services} == {usual}
    horses = [horse for service in services for horse in service.horses()]
    assert horses
    assert {horse.nice() for horse in horses} == {min(usual + 5, 19)}


def test_sums_over_all_processes_are_right(crew: Crew) -> None:
    first, second = crew.apis
    for client, times in ((first.client, 3), (second.client, 2)):
        for _ in range(times):
            answer = client.post("/densenet_predict", files={"file": (f"{NAME}.png", IMAGE)})
            assert answer.status_code == 200
    body = {"image": base64.b64encode(IMAGE).decode()}
    assert second.client.post("/v2/densenet_predict", json=body).status_code == 200
    assert first.client.post("/densenet_predict", files={"file": b"no image"}).status_code == 400
    tasks = crew.stack.submit([IMAGE] * 20 + [b"no image"] * 2, threads=4)
    done = crew.stack.wait(tasks)
    assert sum(task["status"] == "SUCCESS" for task in done.values()) == 20

    count = "cxr_stage_duration_seconds_count"
    for stage in ("decoding", "predicting", "rendering"):
        eventually(partial(crew.total, count, mode="task", stage=stage), 20)
        assert crew.total(count, mode="sync", stage=stage) == 6
    eventually(lambda: crew.total(count, mode="task", stage="storing"), 20)
    assert crew.total(count, mode="sync", stage="storing") == 1
    assert crew.total("cxr_stage_errors_total", stage="decoding", code="not_an_image") == 3
    for label in ("Bright", "Dark", "Contrast"):
        eventually(partial(crew.total, "cxr_label_probability_count", label=label), 26)
    assert crew.total("cxr_task_wait_seconds_count") == 22
    assert crew.total("cxr_task_duration_seconds_count") == 20
    assert crew.total("cxr_model_call_duration_seconds_count", signature="gradcam") == 26
    route = "/densenet_predict"
    requests = "cxr_http_request_duration_seconds_count"
    assert total(first.samples(), requests, route=route, method="POST", status="200") == 3
    assert total(first.samples(), requests, route=route, method="POST", status="400") == 1
    assert total(second.samples(), requests, route=route, status="200") == 2
    problems = "cxr_http_problems_total"
    assert crew.total(problems, route=route, code="not_an_image") == 1
    # both workers had a share, or this test shows nothing about adding up
    assert all(total(each.samples(), count, stage="decoding") > 0 for each in crew.workers)


def test_probabilities_and_positives_are_those_of_the_reports(crew: Crew) -> None:
    before = crew.total("cxr_label_probability_sum", label="Bright")
    positives = crew.total("cxr_label_positives_total", label="Bright")
    tasks = crew.stack.submit([IMAGE] * 3)
    crew.stack.wait(tasks)
    reports = crew.stack.reports(tasks)
    (bright,) = (each for each in reports[0]["predictions"] if each["label"] == "Bright")
    expected = positives + 3 * bright["positive"]
    eventually(lambda: crew.total("cxr_label_probability_count", label="Bright"), 29)
    assert crew.total("cxr_label_positives_total", label="Bright") == expected
    added = crew.total("cxr_label_probability_sum", label="Bright") - before
    assert added == pytest.approx(3 * bright["probability"])


def test_figures_of_redis_are_the_same_whichever_api_is_asked(crew: Crew) -> None:
    for name, expected in (
        ("cxr_tasks_accepted_total", 25),
        ("cxr_tasks_succeeded_total", 23),
        ("cxr_redis_up", 1),
        ("cxr_model_up", 1),
        ("cxr_workers", 2),
        ("cxr_tasks_waiting_limit", 1000),
    ):
        assert [total(each.samples(), name) for each in crew.apis] == [expected, expected], name
    ended = [
        total(each.samples(), "cxr_tasks_ended_in_error_total", code="not_an_image")
        for each in crew.apis
    ]
    assert ended == [2, 2]


def test_every_process_says_what_it_is(crew: Crew) -> None:
    for each in [*crew.apis, *crew.workers]:
        samples = each.samples()
        assert total(samples, "cxr_build_info") == 1
        assert total(samples, "cxr_model_info", name="densenet", version="1") == 1
        assert total(samples, "process_resident_memory_bytes") > 1_000_000


def test_no_gauge_is_left_up(crew: Crew) -> None:
    assert crew.total("cxr_http_requests_in_flight") == len(crew.apis)  # the one that asks
    assert crew.total("cxr_model_calls_in_flight") == 0


def test_nothing_of_a_patient_is_in_the_figures(crew: Crew) -> None:
    assert all(NAME not in each.text() for each in [*crew.apis, *crew.workers])


def test_one_trace_leads_from_the_request_through_the_queue_to_the_model(
    crew: Crew, collector: Collector
) -> None:
    answer = crew.apis[0].client.post(
        "/async/densenet_predict",
        files={"file": (f"{NAME}.png", IMAGE)},
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
    )
    crew.stack.wait([answer.json()["task_id"]])
    wanted = {"task", "decoding", "predicting", "rendering", "storing", "Predict gradcam"}
    spans = collector.wait_for({"POST /async/densenet_predict", *wanted}, TRACE)
    by_name = {span.name: span for span in spans}
    request, task = by_name["POST /async/densenet_predict"], by_name["task"]
    assert (request.service, request.kind, request.parent_id) == ("cxr-api", SERVER, PARENT)
    assert (task.service, task.kind) == ("cxr-worker", CONSUMER)
    assert task.parent_id == request.span_id
    for stage in ("decoding", "predicting", "rendering", "storing"):
        assert (by_name[stage].parent_id, by_name[stage].kind) == (task.span_id, INTERNAL)
    call = by_name["Predict gradcam"]
    assert (call.parent_id, call.kind) == (by_name["predicting"].span_id, CLIENT)
    assert request.attributes["http.route"] == "/async/densenet_predict"
    assert request.attributes["http.response.status_code"] == "202"


def test_a_synchronous_request_is_one_trace_as_well(crew: Crew, collector: Collector) -> None:
    trace = TRACE[::-1]
    crew.apis[1].client.post(
        "/densenet_predict",
        files={"file": IMAGE},
        headers={"traceparent": f"00-{trace}-{PARENT}-01"},
    )
    spans = collector.wait_for({"POST /densenet_predict", "rendering", "Predict gradcam"}, trace)
    by_name: dict[str, ReceivedSpan] = {span.name: span for span in spans}
    assert by_name["decoding"].parent_id == by_name["POST /densenet_predict"].span_id
    assert by_name["Predict gradcam"].parent_id == by_name["predicting"].span_id


def test_nothing_of_a_patient_or_a_task_is_in_the_traces(crew: Crew, collector: Collector) -> None:
    trace = "b" * 32
    answer = crew.apis[0].client.post(
        "/async/densenet_predict",
        files={"file": (f"{NAME}.png", IMAGE)},
        headers={"traceparent": f"00-{trace}-{PARENT}-01"},
    )
    task_id = answer.json()["task_id"]
    crew.stack.wait([task_id])
    collector.wait_for({"POST /async/densenet_predict", "task", "Predict gradcam"}, trace)
    exported = b"".join(collector.bodies)
    assert NAME.encode() not in exported
    assert task_id.encode() not in exported
    assert IMAGE[-40:] not in exported


def test_a_killed_horse_loses_no_figure_and_leaves_no_gauge(crew: Crew) -> None:
    before = crew.total("cxr_task_duration_seconds_count")
    for each in crew.workers:
        for horse in each.service.horses():
            horse.kill()
    tasks = crew.stack.submit([IMAGE] * 4)
    crew.stack.wait(tasks)
    eventually(lambda: crew.total("cxr_task_duration_seconds_count"), before + 4)
    assert crew.total("cxr_model_calls_in_flight") == 0


def test_a_killed_worker_takes_its_figures_along_and_the_outcomes_stay(crew: Crew) -> None:
    accepted = total(crew.apis[0].samples(), "cxr_tasks_accepted_total")
    killed = crew.workers.pop()
    killed.service.kill()
    tasks = crew.stack.submit([IMAGE] * 3)
    crew.stack.wait(tasks)
    samples = crew.apis[0].samples()
    assert total(samples, "cxr_tasks_accepted_total") == accepted + 3
    assert total(samples, "cxr_tasks_succeeded_total") == accepted + 3 - 2  # two were no images


def test_a_worker_that_ends_sends_its_spans_before(crew: Crew, collector: Collector) -> None:
    (regular,) = crew.workers
    assert regular.service.stop() == 0  # or it might take the task
    environment = {**regular.service.environment, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    late = Service([*CXR, "worker"], environment, regular.service.log)
    late.start()
    trace = "a" * 32
    answer = crew.apis[0].client.post(
        "/async/densenet_predict",
        files={"file": IMAGE},
        headers={"traceparent": f"00-{trace}-{PARENT}-01"},
    )
    crew.stack.wait([answer.json()["task_id"]])
    collector.wait_for({"POST /async/densenet_predict"}, trace)
    assert not [each for each in collector.spans if (each.trace_id, each.name) == (trace, "task")]
    assert late.stop() == 0
    collector.wait_for({"task", "Predict gradcam"}, trace)
    regular.service.start()
    wait_until_answered(regular.client, "/metrics", regular.service.running)


def test_figures_are_answered_without_redis_and_without_the_model(crew: Crew) -> None:
    crew.stack.redis.kill()
    crew.stack.model.kill()
    for each in crew.apis:
        begin = time.monotonic()
        samples = each.samples()
        assert time.monotonic() - begin < 10  # Prometheus' own patience
        assert total(samples, "cxr_redis_up") == 0
        assert total(samples, "cxr_model_up") == 0
        assert ("cxr_tasks_waiting", frozenset()) not in samples
        assert total(samples, "cxr_build_info") == 1
    assert total(crew.workers[0].samples(), "cxr_build_info") == 1


def test_logs_hold_nothing_of_a_patient(crew: Crew) -> None:
    folder: Path = crew.stack.api.log.parent
    assert all(NAME not in log.read_text() for log in folder.glob("*.log"))
