"""Measure many clients at once: throughput and tail, beside what the bare model does."""

import statistics

from benchmarks.bounds import Figure
from benchmarks.service import ALL, THREE, Load, Service, bare_rate, running_service

CLIENTS = (1, 2, 4, 8, 16, 32)
ROUNDS = 3
REQUESTS = 150
EIGHT = 8
LEAST = {"3": 0.65, "15": 0.45}
TAIL_BOUND = 3.0
PRECISIONS = ("float32", "bfloat16")


def measure() -> list[Figure]:
    """Let clients post in turn with the bare model, in both precisions."""
    figures: list[Figure] = []
    for precision in PRECISIONS:
        with running_service(precision) as service:
            figures += _against_the_model(service, precision)
            if precision == "float32":
                figures += _curve(service)
    return figures


def _against_the_model(service: Service, precision: str) -> list[Figure]:
    heatmaps = {"3": THREE, "15": ALL}
    for names in heatmaps.values():
        service.post(service.png, names, EIGHT, 2 * EIGHT)
    bare: list[float] = []
    loads: dict[str, list[Load]] = {text: [] for text in heatmaps}
    cores: dict[str, float] = {}
    for _ in range(ROUNDS):
        rate, _ = bare_rate(service.stack.model_target)
        bare.append(rate)
        for text, names in heatmaps.items():
            before = _seconds(service)
            load = service.post(service.png, names, EIGHT, REQUESTS)
            loads[text].append(load)
            if text == "3":
                after = _seconds(service)
                cores = {part: 1000 * (after[part] - before[part]) / REQUESTS for part in after}
                cores["client"] = 1000 * load.processor / REQUESTS
    own = precision == "float32"
    figures = [Figure(f"{precision}: images per second, bare", statistics.median(bare), "/s")]
    for text, found in loads.items():
        ratios = [load.rate / rate for load, rate in zip(found, bare, strict=True)]
        figures.append(
            Figure(
                f"{precision}: images per second with 8 clients, {text} overlays / bare at batch 8",
                statistics.median(ratios),
                least=LEAST[text] if own else None,
            )
        )
    tails = [load.percentile(0.99) / load.percentile(0.5) for load in loads["3"]]
    figures.append(
        Figure(
            f"{precision}: p99 / p50 with 8 clients, 3 overlays",
            statistics.median(tails),
            bound=TAIL_BOUND if own else None,
        )
    )
    return figures + [
        Figure(f"{precision}: core time of a request, 3 overlays, {part}", value, "ms")
        for part, value in cores.items()
    ]


def _curve(service: Service) -> list[Figure]:
    figures: list[Figure] = []
    for clients in CLIENTS:
        load = service.post(service.png, THREE, clients, REQUESTS)
        name = f"{clients} clients, 3 overlays"
        figures += [
            Figure(f"{name}: images per second", load.rate, "/s"),
            Figure(f"{name}: p50", load.percentile(0.5), "ms"),
            Figure(f"{name}: p99", load.percentile(0.99), "ms"),
            Figure(f"{name}: refused", load.refused),
        ]
    return figures


def _seconds(service: Service) -> dict[str, float]:
    times = {part: process.cpu_times() for part, process in service.processes().items()}
    return {part: each.user + each.system for part, each in times.items()}
