"""Measure one request: how long it takes beside one call of the model, and where the time goes."""

import http.client
import io
import json
import statistics
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.client import CONTENT_TYPE, form
from benchmarks.effort import Effort
from benchmarks.figures import Figure, percentile, ratio
from benchmarks.service import ALL, THREE, Service, bare_call, running_service

ROUNDS = 5
REQUESTS = 20  # of a client in each round
CALLS = 10
REQUEST_BOUND = 1.6
SHARES = (0.5, 0.95, 0.99)
PRECISIONS = ("float32", "bfloat16")
HEATMAPS = {"no": "none", "3": THREE, "15": ALL}


def measure(effort: Effort) -> list[Figure]:
    """Time requests in turn with calls of the bare model, in both precisions."""
    figures: list[Figure] = []
    for precision in PRECISIONS:
        with running_service(precision) as service:
            figures += _measure(service, precision, effort)
    return figures


def _measure(service: Service, precision: str, effort: Effort) -> list[Figure]:
    files = {"1024² PNG": service.png, "2400² JPEG": service.jpeg}
    cases = {
        (kind, text): (file, heatmaps)
        for kind, file in files.items()
        for text, heatmaps in HEATMAPS.items()
    }
    times: dict[tuple[str, str], list[list[float]]] = {case: [] for case in cases}
    bare: list[float] = []
    with bare_call(service.stack.model_target, 1) as call:
        for file, heatmaps in cases.values():
            service.post(file, heatmaps, clients=1, requests=3)
        for _ in effort.rounds(ROUNDS, precision):
            bare.append(statistics.median(_milliseconds(call) for _ in range(CALLS)))
            for case, (file, heatmaps) in cases.items():
                load = service.post(file, heatmaps, clients=1, requests=effort.of(REQUESTS, 5))
                times[case].append(load.milliseconds)
    medians = [percentile(round_, 0.5) for round_ in times["1024² PNG", "3"]]
    figures = [
        ratio(
            f"{precision}: p50 of a request (1024² PNG, 3 overlays) / one gradcam call at batch 1",
            medians,
            bare,
            bound=REQUEST_BOUND if precision == "float32" else None,
        ),
        Figure.of(f"{precision}: one gradcam call at batch 1", bare, "ms"),
    ]
    for (kind, text), rounds in times.items():
        figures += _percentiles(f"{precision}: {{}} of a request, {kind}, {text} overlays", rounds)
    for kind, file in files.items():
        figures += _stages(service, file, f"{precision}: of a request ({kind}, 3 overlays)", effort)
    return figures


def _percentiles(name: str, rounds: list[list[float]]) -> list[Figure]:
    """Take the percentiles of all requests at once; the range is that of the rounds' own."""
    together = [value for round_ in rounds for value in round_]
    figures: list[Figure] = []
    for share in SHARES:
        each = [percentile(round_, share) for round_ in rounds]
        text = name.format(f"p{100 * share:.0f}")
        ends = (min(each), max(each)) if len(each) > 1 else (None, None)
        figures.append(Figure(text, percentile(together, share), "ms", None, None, *ends))
    return figures


def _milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begin)


def _stages(service: Service, file: Path, name: str, effort: Effort) -> list[Figure]:
    """Return what a request spends in each stage, and what is left for HTTP, packing and counting."""
    body = form(file.read_bytes(), THREE)
    found: dict[str, list[float]] = {}
    port = service.stack.client.base_url.port
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(effort.of(REQUESTS, 3)):
        begin = time.perf_counter()
        connection.request("POST", "/densenet_predict", body, {"Content-Type": CONTENT_TYPE})
        answer = connection.getresponse().read()
        whole = 1000 * (time.perf_counter() - begin)
        with zipfile.ZipFile(io.BytesIO(answer)) as archive:
            stages = json.loads(archive.read("report.json"))["timings_ms"]
        for stage, value in stages.items():
            found.setdefault(stage, []).append(value)
        found.setdefault("the rest", []).append(whole - sum(stages.values()))
    connection.close()
    return [Figure.of(f"{name} in {stage}", values, "ms") for stage, values in found.items()]
