"""Measure this service beside the same model behind BentoML, behind LitServe, and in the naive shape.

All are asked the same: a 1024² PNG, a report and three overlays back. Nobody is timed who answers something else.
They run at once and are measured in turns; those whose turn it isn't are stopped, as some poll while they have nothing
to do.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import psutil

from benchmarks.effort import Effort, say
from benchmarks.figures import Figure, ratio
from benchmarks.posting import Load, post
from benchmarks.rivals.environment import RivalError
from benchmarks.rivals.server import Answer, Rival, ask, running_rival, running_unserved
from benchmarks.service import THREE, Service, running_service

OURS: Final = "this service"
RIVALS: Final = {"BentoML": "bentoml", "LitServe": "litserve", "naive shape": "naive"}
FRAMEWORKS: Final = ("BentoML", "LitServe")
NAIVE: Final = "naive shape"
BETTER: Final = (
    "this service / the better of BentoML and LitServe, images per second with 8 clients"
)
UNSERVED: Final = "the same work without a server"
MOST: Final = f"{UNSERVED} / the better of BentoML and LitServe, images per second"
CORES: Final = 2
BATCHES: Final = (1, 2, 4, 8)  # which is best differs from processor to processor
ROUNDS: Final = 3
REQUESTS: Final = 120
ALONE: Final = 15
ALONE_NAIVE: Final = 3
EIGHT: Final = 8
TOLERANCE: Final = 1e-3
NAIVE_LEAST: Final = 30.0
FRAMEWORK_LEAST: Final = 1.2


@dataclass(frozen=True)
class Turns:
    """What was measured, by name and round.

    Attributes:
        seconds: Latency of a lone client, its median in each round.
        rates: Images per second of eight clients.
        cores: Milliseconds of a core that each of these took.
        failed: How many requests were answered with an error; they don't count as answered.
        unserved: Images per second of the same work without a server, with the best size of batches.
        missing: Why somebody was not measured.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)
    cores: dict[str, list[float]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    unserved: list[float] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def measure(effort: Effort) -> list[Figure]:
    """Start all, check that they answer alike, and measure them in turns."""
    turns = Turns()
    with running_service() as service, ExitStack() as stack:
        rivals: dict[str, Rival] = {}
        expected = ask(service.port, service.png.read_bytes())
        for name, module in RIVALS.items():
            say(f"starting {name}")
            try:
                rivals[name] = stack.enter_context(_checked(name, module, service, expected))
            except RivalError as err:
                turns.missing[name] = str(err)
                say(f"{name}: {err}")
        unserved = None
        if "LitServe" in rivals:  # whose environment it runs in
            unserved = stack.enter_context(running_unserved(service.png, CORES))
        _measure(turns, rivals, service, unserved, effort)
    return figures(turns)


def figures(turns: Turns) -> list[Figure]:
    """Return the figures of what was measured; a ratio to somebody who is missing falls short."""
    found = [_naive(turns), _frameworks(turns)]
    for name, values in turns.seconds.items():
        found.append(Figure.of(f"latency of one client, {name}", values, "s"))
    for name, values in turns.rates.items():
        failed = turns.failed[name]
        note = f"{failed} requests of all were answered with an error" if failed else ""
        figure = Figure.of(f"images per second with 8 clients, {name}", values, "/s")
        found.append(replace(figure, note=note))
    found += _unserved(turns)
    for name, values in turns.cores.items():
        found.append(Figure.of(f"core time of a request with 8 clients, {name}", values, "ms"))
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
def _checked(name: str, module: str, service: Service, expected: Answer) -> Iterator[Rival]:
    with running_rival(module) as rival:
        check(name, ask(rival.port, service.png.read_bytes()), expected)
        yield rival


@contextmanager
def _stopped(families: Iterable[Sequence[psutil.Process]]) -> Iterator[None]:
    """Hold processes up until the block ends."""
    held = [process for family in families for process in family]
    for process in held:
        process.suspend()
    try:
        yield
    finally:
        for process in reversed(held):  # children first, as their parents watch them
            process.resume()


def _measure(
    turns: Turns,
    rivals: dict[str, Rival],
    service: Service,
    unserved: Callable[[int, int], float] | None,
    effort: Effort,
) -> None:
    """Let a lone client and eight of them post to each in turn."""
    many = effort.of(REQUESTS, 2 * EIGHT)
    ports = {OURS: service.port} | {name: rival.port for name, rival in rivals.items()}

    def load(name: str, clients: int, requests: int) -> Load:
        strict = name == OURS
        with _stopped([family(other) for other in ports if other != name]):
            found = post(ports[name], service.png, THREE, clients, requests, strict=strict)
        turns.failed[name] += found.failed
        return found

    def family(name: str) -> list[psutil.Process]:
        return list(service.processes().values()) if name == OURS else rivals[name].family

    def core_seconds(name: str) -> float:
        return service.core_seconds() if name == OURS else rivals[name].core_seconds()

    crowded = [name for name in ports if name != NAIVE]
    for name in crowded:
        load(name, EIGHT, many)  # batches of all sizes, and their makers adapt
    for _ in effort.rounds(ROUNDS, "in turns"):
        for name in ports:
            alone = load(name, 1, effort.of(ALONE_NAIVE if name == NAIVE else ALONE, 2))
            turns.seconds.setdefault(name, []).append(alone.percentile(0.5) / 1000)
        for name in crowded:
            before = core_seconds(name)
            found = load(name, EIGHT, many)
            turns.rates.setdefault(name, []).append(found.rate)
            spent = 1000 * (core_seconds(name) - before) / len(found.milliseconds)
            turns.cores.setdefault(name, []).append(spent)
        if unserved is not None:
            with _stopped(family(name) for name in ports):
                turns.unserved.append(max(unserved(many, size) for size in BATCHES))


def _naive(turns: Turns) -> Figure:
    name = "naive shape / this service, latency with 3 overlays, one client"
    if NAIVE in turns.missing:
        return Figure(name, math.nan, least=NAIVE_LEAST, note=turns.missing[NAIVE])
    return ratio(name, turns.seconds[NAIVE], turns.seconds[OURS], least=NAIVE_LEAST)


def _frameworks(turns: Turns) -> Figure:
    absent = [turns.missing[each] for each in FRAMEWORKS if each in turns.missing]
    if absent:
        return Figure(BETTER, math.nan, least=FRAMEWORK_LEAST, note="; ".join(absent))
    return ratio(BETTER, turns.rates[OURS], _better(turns), least=FRAMEWORK_LEAST)


def _better(turns: Turns) -> list[float]:
    return [max(both) for both in zip(*(turns.rates[each] for each in FRAMEWORKS), strict=True)]


def _unserved(turns: Turns) -> Iterator[Figure]:
    """Say what could be reached at all."""
    if not turns.unserved or any(each in turns.missing for each in FRAMEWORKS):
        return
    yield ratio(MOST, turns.unserved, _better(turns))
    yield Figure.of(f"images per second, {UNSERVED}", turns.unserved, "/s")
