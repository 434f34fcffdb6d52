"""Measure this service beside the same model behind BentoML, behind LitServe, and in the naive shape.

All are asked the same: a 1024² PNG, a report and three overlays back. Nobody is timed who answers something else.
They run at once and are measured in turns; those whose turn it isn't are idle.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from benchmarks.effort import Effort, say
from benchmarks.figures import Figure, ratio
from benchmarks.posting import post
from benchmarks.rivals.environment import RivalError
from benchmarks.rivals.server import Answer, ask, running_rival
from benchmarks.service import THREE, Service, running_service

OURS: Final = "this service"
RIVALS: Final = {"BentoML": "bentoml", "LitServe": "litserve", "naive shape": "naive"}
FRAMEWORKS: Final = ("BentoML", "LitServe")
NAIVE: Final = "naive shape"
BETTER: Final = (
    "this service / the better of BentoML and LitServe, images per second with 8 clients"
)
ROUNDS: Final = 3
REQUESTS: Final = 120
ALONE: Final = 15
ALONE_NAIVE: Final = 3
EIGHT: Final = 8
TOLERANCE: Final = 1e-3
NAIVE_LEAST: Final = 30.0
FRAMEWORK_LEAST: Final = 1.2

_Rounds = dict[str, list[float]]


def measure(effort: Effort) -> list[Figure]:
    """Start all, check that they answer alike, and measure them in turns."""
    missing: dict[str, str] = {}
    with running_service() as service, ExitStack() as stack:
        port = service.stack.client.base_url.port
        assert port is not None
        ports = {OURS: port}
        expected = ask(port, service.png.read_bytes())
        for name, module in RIVALS.items():
            say(f"starting {name}")
            try:
                ports[name] = stack.enter_context(_checked(name, module, service, expected))
            except RivalError as err:
                missing[name] = str(err)
                say(f"{name}: {err}")
        seconds, rates = _measure(ports, service, effort)
    return figures(seconds, rates, missing)


def figures(seconds: _Rounds, rates: _Rounds, missing: dict[str, str]) -> list[Figure]:
    """Return the figures of what was measured; a ratio to somebody who is missing falls short."""
    found = [_naive(seconds, missing), _frameworks(rates, missing)]
    found += [
        Figure.of(f"latency of one client, {name}", values, "s") for name, values in seconds.items()
    ]
    found += [
        Figure.of(f"images per second with 8 clients, {name}", values, "/s")
        for name, values in rates.items()
    ]
    return found


def check(name: str, found: Answer, expected: Answer) -> None:
    """See that a rival does the same work.

    Raises:
        RivalError: It doesn't.
    """
    if found.probabilities.keys() != expected.probabilities.keys():
        raise RivalError(f"{name} answers other labels: {sorted(found.probabilities)}")
    apart = max(
        abs(value - expected.probabilities[label]) for label, value in found.probabilities.items()
    )
    if apart > TOLERANCE:
        raise RivalError(f"{name} answers other probabilities: {apart:.4f} apart")
    if len(found.sizes) != len(expected.sizes):
        raise RivalError(f"{name} answers {len(found.sizes)} overlays, not {len(expected.sizes)}")
    if name in FRAMEWORKS and found.sizes != expected.sizes:
        raise RivalError(f"{name} answers overlays of {found.sizes}, not {expected.sizes}")


@contextmanager
def _checked(name: str, module: str, service: Service, expected: Answer) -> Iterator[int]:
    with running_rival(module) as port:
        check(name, ask(port, service.png.read_bytes()), expected)
        yield port


def _measure(ports: dict[str, int], service: Service, effort: Effort) -> tuple[_Rounds, _Rounds]:
    """Return seconds of a lone client's requests, and images per second of eight clients, by name and round."""
    many = effort.of(REQUESTS, 2 * EIGHT)
    for name, port in ports.items():
        if name != NAIVE:
            post(port, service.png, THREE, EIGHT, 2 * many // 3)  # batches of all sizes; they adapt
    seconds: _Rounds = {name: [] for name in ports}
    rates: _Rounds = {name: [] for name in ports if name != NAIVE}
    for _ in effort.rounds(ROUNDS, "in turns"):
        for name, port in ports.items():
            alone = effort.of(ALONE_NAIVE if name == NAIVE else ALONE, 2)
            load = post(port, service.png, THREE, 1, alone)
            seconds[name].append(load.percentile(0.5) / 1000)
        for name in rates:
            rates[name].append(post(ports[name], service.png, THREE, EIGHT, many).rate)
    return seconds, rates


def _naive(seconds: _Rounds, missing: dict[str, str]) -> Figure:
    name = "naive shape / this service, latency with 3 overlays, one client"
    if NAIVE in missing:
        return Figure(name, math.nan, least=NAIVE_LEAST, note=missing[NAIVE])
    return ratio(name, seconds[NAIVE], seconds[OURS], least=NAIVE_LEAST)


def _frameworks(rates: _Rounds, missing: dict[str, str]) -> Figure:
    absent = [missing[each] for each in FRAMEWORKS if each in missing]
    if absent:
        return Figure(BETTER, math.nan, least=FRAMEWORK_LEAST, note="; ".join(absent))
    better = [max(both) for both in zip(*(rates[each] for each in FRAMEWORKS), strict=True)]
    return ratio(BETTER, rates[OURS], better, least=FRAMEWORK_LEAST)
