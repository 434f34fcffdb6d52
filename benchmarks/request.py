"""Measure one request: how long it takes beside one call of the model, and where the time goes."""

import io
import json
import statistics
import time
import zipfile

from benchmarks.bounds import Figure
from benchmarks.service import ALL, THREE, Service, bare_call, running_service

ROUNDS = 5
REQUESTS = 20  # of a client in each round
CALLS = 10
REQUEST_BOUND = 1.6
PRECISIONS = ("float32", "bfloat16")


def measure() -> list[Figure]:
    """Time requests in turn with calls of the bare model, in both precisions."""
    figures: list[Figure] = []
    for precision in PRECISIONS:
        with running_service(precision) as service:
            figures += _measure(service, precision)
    return figures


def _measure(service: Service, precision: str) -> list[Figure]:
    cases = {
        (kind, text): (file, heatmaps)
        for kind, file in (("1024² PNG", service.png), ("2400² JPEG", service.jpeg))
        for text, heatmaps in (("no", "none"), ("3", THREE), ("15", ALL))
    }
    times: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    medians: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    bare: list[float] = []
    with bare_call(service.stack.model_target, 1) as call:
        for file, heatmaps in cases.values():
            service.post(file, heatmaps, clients=1, requests=3)
        for _ in range(ROUNDS):
            bare.append(statistics.median(_milliseconds(call) for _ in range(CALLS)))
            for case, (file, heatmaps) in cases.items():
                load = service.post(file, heatmaps, clients=1, requests=REQUESTS)
                times[case] += load.milliseconds
                medians[case].append(load.percentile(0.5))
    three = ("1024² PNG", "3")
    ratios = [above / below for above, below in zip(medians[three], bare, strict=True)]
    figures = [
        Figure(
            f"{precision}: p50 of a request (1024² PNG, 3 overlays) / one gradcam call at batch 1",
            statistics.median(ratios),
            bound=REQUEST_BOUND if precision == "float32" else None,
        ),
        Figure(f"{precision}: one gradcam call at batch 1", statistics.median(bare), "ms"),
    ]
    for (kind, text), found in times.items():
        ordered = sorted(found)
        for share in (0.5, 0.95, 0.99):
            value = ordered[int(share * (len(ordered) - 1))]
            name = f"{precision}: p{100 * share:.0f} of a request, {kind}, {text} overlays"
            figures.append(Figure(name, value, "ms"))
    if precision == "float32":
        figures += _stages(service)
    return figures


def _milliseconds(call: object) -> float:
    assert callable(call)
    begin = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begin)


def _stages(service: Service) -> list[Figure]:
    """Return what a request spends in each stage, and what is left for HTTP, packing and counting."""
    found: dict[str, list[float]] = {}
    for _ in range(REQUESTS):
        begin = time.perf_counter()
        answer = service.stack.client.post(
            "/densenet_predict",
            files={"file": service.png.read_bytes()},
            data={"heatmaps": THREE, "max_size": "1024"},
        )
        whole = 1000 * (time.perf_counter() - begin)
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            stages = json.loads(archive.read("report.json"))["timings_ms"]
        for name, value in stages.items():
            found.setdefault(name, []).append(value)
        found.setdefault("the rest", []).append(whole - sum(stages.values()))
    return [
        Figure(f"of a request (1024² PNG, 3 overlays) in {name}", statistics.median(values), "ms")
        for name, values in found.items()
    ]
