"""Measure many clients at once: throughput and tail, beside what the bare model does."""

from benchmarks.effort import Effort, say
from benchmarks.figures import Figure, ratio
from benchmarks.posting import Load
from benchmarks.service import ALL, THREE, Service, bare_rate, running_service

CLIENTS = (1, 2, 4, 8, 16, 32)
ROUNDS = 3
REQUESTS = 400
EIGHT = 8
HEATMAPS = {"3": THREE, "15": ALL}
LEAST = {"3": 0.65, "15": 0.45}
TAIL_BOUND = 3.0
PRECISIONS = ("float32", "bfloat16")


def measure(effort: Effort) -> list[Figure]:
    """Let clients post in turn with the bare model, in both precisions."""
    figures: list[Figure] = []
    for precision in PRECISIONS:
        with running_service(precision) as service:
            figures += _against_the_model(service, precision, effort)
            figures += _curve(service, precision, effort)
    return figures


def _against_the_model(service: Service, precision: str, effort: Effort) -> list[Figure]:
    requests = effort.of(REQUESTS, 2 * EIGHT)
    for names in HEATMAPS.values():
        service.post(service.png, names, EIGHT, 2 * EIGHT)
    bare: list[float] = []
    loads: dict[str, list[Load]] = {text: [] for text in HEATMAPS}
    cores: dict[str, list[float]] = {}
    for _ in effort.rounds(ROUNDS, f"{precision}, 8 clients"):
        rate, _ = bare_rate(service.stack.model_target)
        bare.append(rate)
        for text, names in HEATMAPS.items():
            before = _seconds(service)
            load = service.post(service.png, names, EIGHT, requests)
            loads[text].append(load)
            if text == "3":
                spent = {part: now - before[part] for part, now in _seconds(service).items()}
                for part, seconds in (spent | {"the client": load.processor}).items():
                    cores.setdefault(part, []).append(1000 * seconds / requests)
    own = precision == "float32"
    figures = [Figure.of(f"{precision}: images per second, bare at batch 8", bare, "/s")]
    for text, found in loads.items():
        name = f"{precision}: images per second with 8 clients, {text} overlays"
        rates = [load.rate for load in found]
        figures += [
            Figure.of(name, rates, "/s"),
            ratio(f"{name} / bare at batch 8", rates, bare, least=LEAST[text] if own else None),
        ]
    return [
        *figures,
        ratio(
            f"{precision}: p99 / p50 with 8 clients, 3 overlays",
            [load.percentile(0.99) for load in loads["3"]],
            [load.percentile(0.5) for load in loads["3"]],
            bound=TAIL_BOUND if own else None,
        ),
        *(
            Figure.of(f"{precision}: core time of a request, 3 overlays, {part}", values, "ms")
            for part, values in cores.items()
        ),
    ]


def _curve(service: Service, precision: str, effort: Effort) -> list[Figure]:
    figures: list[Figure] = []
    for clients in CLIENTS:
        say(f"{precision}, {clients} clients")
        load = service.post(service.png, THREE, clients, effort.of(REQUESTS, clients))
        name = f"{precision}: {clients} clients, 3 overlays"
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
